"""Ends what is overdue: open invocations, sandboxes that belong to nobody, warm ones unused."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.versions import VersionsTable
from castari.adapters.tables.warm import WarmTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, VendorUnavailable
from castari.models import Invocation, SandboxSummary
from castari.services import invocation_states, outcomes
from castari.services.attendance import Attendance
from castari.services.finishes import Finishes
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
    attendance: Attendance
    pool: WarmPool
    limits: Limits
    clock: Clock = utc_now

    async def sweep(self) -> Counter[str]:
        """Do one round; return how often each thing was done."""
        done: Counter[str] = Counter()
        done["warm_expired"] = await self.pool.expire()
        for invocation in islice(self._overdue(), _MOST_AT_ONCE):
            done[f"invocations_{await self._end(invocation)}"] += 1
        listed = [sandbox async for sandbox in self.sandboxes.list()]
        # What is in use is read after what exists: a sandbox claimed meanwhile is then seen as in use.
        in_use = {invocation.sandbox_id for invocation in self.invocations.open()}
        for sandbox in listed:
            if sandbox.sandbox_id not in in_use and self._is_orphan(sandbox) and await self._kill(sandbox):
                done["orphans_killed"] += 1
        done["warm_dead"] = self._forget_dead({sandbox.sandbox_id for sandbox in listed})
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

    async def _end(self, invocation: Invocation) -> str:
        """Finish with what was handed in, if anything was; then the sandbox goes."""
        if invocation.status == "queued":
            waited = outcomes.not_started("no sandbox could be had in time")
            return self.finishes.without_report(invocation, waited).invocation.status
        finished = self.finishes.by_stored_report(invocation, outcomes.lost())
        await self.attendance.end(finished)
        return finished.invocation.status

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
        """Tell whether a warm sandbox is neither on offer nor, that late, freshly taken."""
        idle = timedelta(seconds=self.limits.warm_idle_seconds)
        version_id = sandbox.metadata.get("version_id", "")
        return now - sandbox.started_at > idle + _GRACE and not self.warm.exists(
            version_id, sandbox.sandbox_id
        )

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

    def _forget_dead(self, alive: set[str]) -> int:
        """Remove offers whose sandbox is gone, as after a restart of a local sandbox server."""
        dead = [
            warm
            for warm in self.warm.all()
            if warm.sandbox_id not in alive and self.clock() - warm.created_at > _GRACE
        ]
        return sum(self.warm.take(warm) for warm in dead)
