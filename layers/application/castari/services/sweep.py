"""Ends what is overdue: open invocations, sandboxes that belong to nobody, warm ones and sessions unused."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.versions import VersionsTable
from castari.adapters.tables.warm import WarmTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, VendorUnavailable
from castari.models import Invocation, SandboxSummary
from castari.services import invocation_states, outcomes
from castari.services.callbacks import Callbacks
from castari.services.finishes import Finishes
from castari.services.line import Line
from castari.services.requeues import Requeues
from castari.services.session_ends import SessionEnds
from castari.services.warm import WarmPool
from castari.settings import Limits

_MOST_AT_ONCE = 500
_GRACE = timedelta(seconds=30)
"""Between making a sandbox and writing down whose it is, and for an index that lags."""


@dataclass(frozen=True)
class Sweep:
    """One round; what it does not get to, the next one does."""

    invocations: InvocationsTable
    versions: VersionsTable
    warm: WarmTable
    sandboxes: Sandboxes
    finishes: Finishes
    requeues: Requeues
    pool: WarmPool
    line: Line
    session_ends: SessionEnds
    callbacks: Callbacks
    limits: Limits
    unforeseen: Callable[[str, Exception], None]
    """Told of an invocation's id and the error that kept its end off."""
    clock: Clock = utc_now
    strays: dict[str, datetime] = field(default_factory=dict)
    """Used or unused warm sandboxes that seemed to be nobody's, and since when."""

    async def sweep(self) -> Counter[str]:
        """Do one round; return how often each thing was done."""
        done: Counter[str] = Counter()
        done["warm_renewed"], done["warm_expired"] = await self.pool.renew()
        for invocation in islice(self._overdue(), _MOST_AT_ONCE):
            done[f"invocations_{await self._ended(invocation)}"] += 1
        done["sessions_expired"] = await self.session_ends.expire()
        counted = self.line.capacity.now()
        listed = [sandbox async for sandbox in self.sandboxes.list()]
        running = {sandbox.sandbox_id for sandbox in listed if not sandbox.is_paused}
        done["capacity_corrected"] = self.line.capacity.reconcile(counted, running)
        # What is in use is read after what exists: a sandbox claimed meanwhile is then seen as in use.
        in_use = {invocation.sandbox_id for invocation in self.invocations.open()}
        idle = [sandbox for sandbox in listed if sandbox.sandbox_id not in in_use]
        self._forget_strays({sandbox.sandbox_id for sandbox in idle})
        for sandbox in islice(filter(self._is_orphan, idle), _MOST_AT_ONCE):
            done["orphans_killed"] += await self._kill(sandbox)
        done["warm_dead"] = self.pool.replace_lost({sandbox.sandbox_id for sandbox in listed})
        done["line_reminded"] = self.line.remind()
        done["callbacks_reminded"] = self.callbacks.remind()
        return +done

    def _overdue(self) -> Iterator[Invocation]:
        """Yield invocations past their deadline as the table has them now; the index may lag."""
        for indexed in self.invocations.overdue(self.clock()):
            try:
                invocation = self.invocations.get(indexed.invocation_id)
            except NotFound:
                continue
            if not invocation_states.is_terminal(invocation) and invocation.deadline_at < self.clock():
                yield invocation

    async def _ended(self, invocation: Invocation) -> str:
        """End one, whatever becomes of the others."""
        try:
            return await self._end(invocation)
        except (NotFound, StaleWrite):
            return "moved_on"
        except VendorUnavailable:
            return "left"
        except Exception as error:  # noqa: BLE001 - a row that nobody foresaw must not keep the others open
            self.unforeseen(invocation.invocation_id, error)
            return "broke"

    async def _end(self, invocation: Invocation) -> str:
        """Finish with what was handed in, if anything was, or go on where nothing was started."""
        # A sandbox is made before anything can start in it, and both are recorded in that order.
        if invocation.sandbox_id is None:
            return self._set_out_again(invocation)
        if invocation.in_session:
            return await self._end_in_session(invocation)
        # Its time is over, so it ends first: should we die then, the next round finishes the invocation.
        with suppress(VendorUnavailable):
            await self.sandboxes.kill(invocation.sandbox_id)
        return self.finishes.by_stored_report(invocation, outcomes.lost()).invocation.status

    async def _end_in_session(self, invocation: Invocation) -> str:
        """Finish first, for that tells whether the sandbox stays; if it does not, it is nobody's then."""
        finished = self.finishes.by_stored_report(invocation, outcomes.lost())
        if finished.sandbox_id:
            with suppress(VendorUnavailable):
                await self.sandboxes.kill(finished.sandbox_id)
        return finished.invocation.status

    def _set_out_again(self, invocation: Invocation) -> str:
        """Look for a sandbox once more, if that was not tried for too long: nothing was started."""
        if self.requeues.waited_too_long(invocation):
            waited = outcomes.not_started("no sandbox could be had in time")
            return self.finishes.without_report(invocation, waited).invocation.status
        if invocation.status == "queued":
            self.requeues.remind(invocation)
            return "reminded"
        self.requeues.not_started(invocation)
        return "queued_again"

    def _is_orphan(self, sandbox: SandboxSummary) -> bool:
        """Tell whether nobody will ever use or end this sandbox. It is not of an open invocation."""
        now, about = self.clock(), sandbox.metadata
        if now - sandbox.started_at < _GRACE:
            return False
        match about.get("kind"):
            case "run":
                return self._run_is_over(about)
            case "warm":
                return self._is_stray(sandbox, now)
            case "session":
                return self.session_ends.is_stray(sandbox)
            case "build":
                return self._build_is_over(about)
            case _:
                return False

    def _run_is_over(self, about: dict[str, str]) -> bool:
        try:
            invocation = self.invocations.get(about.get("invocation_id", ""))
        except NotFound:
            return True
        stale = about.get("attempt") != str(invocation.attempt)
        return stale or invocation.status != "running"

    def _is_stray(self, sandbox: SandboxSummary, now: datetime) -> bool:
        """Tell whether a warm sandbox is neither on offer nor, that late, freshly taken.

        Whoever takes one writes it down with the same stroke, but the index of open invocations lags: what
        seemed to be nobody's in an earlier round is nobody's.
        """
        if self.warm.exists(sandbox.metadata.get("version_id", ""), sandbox.sandbox_id):
            self.strays.pop(sandbox.sandbox_id, None)
            return False
        if now - sandbox.started_at > timedelta(seconds=self.limits.sandbox_longest_seconds) + _GRACE:
            return True
        return now - self.strays.setdefault(sandbox.sandbox_id, now) > _GRACE

    def _forget_strays(self, idle: set[str]) -> None:
        for sandbox_id in self.strays.keys() - idle:
            del self.strays[sandbox_id]

    def _build_is_over(self, about: dict[str, str]) -> bool:
        try:
            version = self.versions.get(about.get("agent_id", ""), about.get("version_id", ""))
        except NotFound:
            return True
        return version.status != "building" or about.get("attempt") != str(version.attempt)

    async def _kill(self, sandbox: SandboxSummary) -> bool:
        try:
            return await self.sandboxes.kill(sandbox.sandbox_id)
        except VendorUnavailable:
            return False
