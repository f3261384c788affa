"""Launches an attempt: claims the invocation, takes a warm sandbox or makes one, starts the runner."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from castari.adapters.queues import Queue
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.warm import WarmTable
from castari.clock import Clock, utc_now
from castari.errors import (
    CastariError,
    NoCapacity,
    NotFound,
    SandboxLost,
    SandboxMissing,
    SealBroken,
    StaleWrite,
    VendorRateLimited,
    VendorUnavailable,
    WarmSandboxTaken,
)
from castari.ids import new_id
from castari.messages import Refill
from castari.models import ActiveVersion, Agent, Invocation, SandboxAccess, WarmSandbox
from castari.services.attempts import (
    SANDBOX_GRACE_SECONDS,
    Launched,
    LaunchFailed,
    StartUnconfirmed,
    claiming,
    deadline,
)
from castari.services.environments import Environments
from castari.services.foresight import MOST_OFFERS
from castari.services.invocations import require_active
from castari.services.line import Line
from castari.services.runner_starts import RunnerStarts
from castari.services.session_launches import SessionLaunches

Offers = Callable[[str], list[WarmSandbox]]
_BOUND_SECONDS = 2.0
"""Whoever waits for a start has waited long already."""


@dataclass(frozen=True)
class Launches:
    """Starts attempts; never waits for an agent."""

    invocations: InvocationsTable
    warm: WarmTable
    sandboxes: Sandboxes
    sealer: Sealer
    environments: Environments
    maintenance: Queue
    line: Line
    sessions: SessionLaunches
    clock: Clock = utc_now

    @property
    def starts(self) -> RunnerStarts:
        """What starts runners in its sandboxes."""
        return RunnerStarts(self.sandboxes)

    async def launch(
        self,
        agent: Agent,
        invocation: Invocation,
        *,
        stored: bool,
        attended: bool = False,
        seconds: float | None = None,
        promise: str | None = None,
        offers: Offers | None = None,
    ) -> Launched:
        """Begin the next attempt of a queued invocation; `stored` tells whether its row exists.

        `attended`: somebody stays with the attempt, and means to finish it by what the runner prints.
        `promise`: of a sandbox that is counted for it already; kept or not, it is over then.
        `offers`: returns warm sandboxes of a version that were read ahead.

        Raises `Conflict` if the agent is not active or the session cannot be had, `StaleWrite` if somebody
        else claimed it, `NoCapacity` if it should wait in line, and `LaunchFailed` once it is claimed: with
        `VendorUnavailable` or `SessionEnded` nothing was started, which is a `VendorRateLimited` after
        `seconds`; with `SandboxLost` the sandbox is gone and that cannot be known; with `StartUnconfirmed`
        the agent has begun, or may have, also after `seconds`.
        """
        ends_at = None if seconds is None else asyncio.get_running_loop().time() + seconds
        place = _Place(self.line, promise)
        try:
            version = require_active(agent)
            if invocation.in_session:
                return await self.sessions.launch(
                    agent, version, invocation, stored=stored, attended=attended, ends_at=ends_at
                )
            attempt = _Attempt(
                self, agent, version, invocation, place, stored=stored, attended=attended, ends_at=ends_at
            )
            return await self._on_any(attempt, (offers or self._offers)(version.version_id))
        finally:
            place.release()

    def _offers(self, version_id: str) -> list[WarmSandbox]:
        return self.warm.list(version_id, limit=MOST_OFFERS)

    async def _on_any(self, attempt: "_Attempt", offers: list[WarmSandbox]) -> Launched:
        """Start on a warm sandbox, or else on a new one."""
        for warm in offers:
            if warm.expires_at > self.clock() and (launched := await attempt.on_warm(warm)):
                return launched
        return await attempt.on_fresh()

    async def bound(self, launched: Launched) -> None:
        """Let a warm sandbox end by itself soon after its agent's limit; else sweep does so."""
        if launched.was_warm:
            await self.bound_sandbox(launched.invocation)

    async def bound_sandbox(self, invocation: Invocation) -> None:
        """Let the sandbox of an attempt end by itself soon after its agent's limit."""
        if invocation.sandbox_id:
            with suppress(CastariError):
                await self.sandboxes.set_timeout(
                    invocation.sandbox_id, invocation.timeout_seconds + SANDBOX_GRACE_SECONDS
                )

    async def refill(self, launched: Launched) -> None:
        """Ask for the successor of the sandbox that was taken; else sweep does so. A session took none."""
        if launched.invocation.in_session:
            return
        message = Refill(user_id=launched.invocation.user_id, slug=launched.invocation.slug)
        with suppress(CastariError):
            await asyncio.to_thread(self.maintenance.send, message)


class _Place:
    """A sandbox that is counted ahead of its making, until it is made or not needed."""

    def __init__(self, line: Line, promise: str | None) -> None:
        self._line, self._promise = line, promise

    def take(self) -> None:
        """Have it promised, unless it is. Raises `NoCapacity`."""
        self._promise = self._promise or self._line.admit()

    async def make(self, create: Callable[[], Awaitable[SandboxAccess]]) -> SandboxAccess:
        """Make it. Raises as `Capacity.make`, which sees to the promise from then on."""
        promise, self._promise = self._promise, None
        return await self._line.capacity.make(promise, create)

    def release(self) -> None:
        """Give back what was not used."""
        promise, self._promise = self._promise, None
        self._line.capacity.give_back(promise)


class _Attempt:
    """One attempt on its way: claimed at most once, then moved from sandbox to sandbox until one starts."""

    def __init__(
        self,
        launches: Launches,
        agent: Agent,
        version: ActiveVersion,
        invocation: Invocation,
        place: _Place,
        *,
        stored: bool,
        ends_at: float | None,
        attended: bool,
    ) -> None:
        self._ends_at = ends_at
        self._launches, self._agent, self._version, self._place = launches, agent, version, place
        self._invocation, self._stored = invocation, stored
        self._number = invocation.attempt + 1
        self._environment = launches.environments.of_attempt(
            agent, invocation, self._number, attended=attended
        )

    async def on_warm(self, warm: WarmSandbox) -> Launched | None:
        """Take this warm sandbox and start; None if it is gone and another should be tried."""
        try:
            self._claim(warm)
        except (WarmSandboxTaken, VendorUnavailable):
            return None
        try:
            access = self._launches.sealer.open(warm.sandbox_id, warm.sealed_access)
            return await self._start(access, was_warm=True)
        except SandboxMissing:
            return None
        except (VendorUnavailable, SealBroken):
            # It was not started, and nobody else can have it any more.
            await self._kill(warm.sandbox_id)
            return None

    async def on_fresh(self) -> Launched:
        """Make a sandbox and start. Raises `NoCapacity` while it is not claimed."""
        try:
            self._place.take()
        except NoCapacity as error:
            if self._invocation.status == "queued":
                raise
            raise LaunchFailed(self._invocation, error) from error
        if self._invocation.status == "queued":
            self._claim(None)
        try:
            async with asyncio.timeout_at(self._ends_at):
                access = await self._place.make(self._create)
            await self._move_to(access)
            return await self._start_fresh(access)
        except TimeoutError as error:
            # It may be made all the same; then sweep ends it.
            late = VendorRateLimited("no sandbox could be made in time")
            raise LaunchFailed(self._invocation, late) from error
        except VendorUnavailable as error:
            raise LaunchFailed(self._invocation, error) from error

    async def _start_fresh(self, access: SandboxAccess) -> Launched:
        try:
            return await self._start(access, was_warm=False)
        except VendorUnavailable:
            await self._kill(access.sandbox_id)
            raise

    async def _move_to(self, access: SandboxAccess) -> None:
        """Record a sandbox before anything starts in it: until then, the attempt may be made again."""
        changes = {
            "sandbox_id": access.sandbox_id,
            "sealed_access": self._launches.sealer.seal(access),
            "deadline_at": self._deadline(has_sandbox=True),
        }
        try:
            self._invocation = self._launches.invocations.change(self._invocation, changes)
        except CastariError:
            await self._kill(access.sandbox_id)
            raise

    def _claim(self, warm: WarmSandbox | None) -> None:
        """Record attempt, sandbox and deadline; with the warm sandbox's row, in one transaction."""
        changes: dict[str, object] = {
            "sandbox_id": warm.sandbox_id if warm else None,
            "sealed_access": warm.sealed_access if warm else None,
            "deadline_at": self._deadline(has_sandbox=warm is not None),
            # Another one for each try, so that a row tells which of them it holds.
            "claim_id": new_id("claim"),
        }
        if self._invocation.status == "queued":
            changes |= claiming(self._invocation, self._version, self._launches.clock())
        claimed = self._invocation.model_copy(update=changes)
        try:
            self._write(claimed, changes, warm)
        except (StaleWrite, VendorUnavailable):
            # The answer to a write may be lost, and the SDK's next try then loses against the first.
            if not self._holds(claimed):
                raise
        self._invocation, self._stored = claimed, True

    def _write(self, claimed: Invocation, changes: dict[str, object], warm: WarmSandbox | None) -> None:
        if self._stored:
            self._launches.invocations.change(self._invocation, changes, taking=warm)
        else:
            self._launches.invocations.create(claimed, taking=warm)

    def _holds(self, claimed: Invocation) -> bool:
        """Tell whether the row is as we meant to write it."""
        try:
            return self._launches.invocations.get(claimed.invocation_id).claim_id == claimed.claim_id
        except (NotFound, VendorUnavailable):
            return False

    def _deadline(self, *, has_sandbox: bool) -> datetime:
        return deadline(self._invocation, self._launches.clock(), has_sandbox=has_sandbox)

    async def _create(self) -> SandboxAccess:
        return await self._launches.sandboxes.create(
            self._version.snapshot_id,
            timeout_seconds=self._invocation.timeout_seconds + SANDBOX_GRACE_SECONDS,
            metadata={
                "kind": "run",
                "agent_id": self._agent.agent_id,
                "user_id": self._agent.user_id,
                "version_id": self._version.version_id,
                "invocation_id": self._invocation.invocation_id,
                "attempt": str(self._number),
            },
            idempotency_key=f"{self._invocation.invocation_id}-{self._number}".replace("_", "-"),
        )

    async def _start(self, access: SandboxAccess, *, was_warm: bool) -> Launched:
        try:
            command = await self._launches.starts.start(
                access, self._invocation, self._environment, ends_at=self._ends_at
            )
        except StartUnconfirmed as error:
            if was_warm:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BOUND_SECONDS):
                        await self._launches.bound_sandbox(self._invocation)
            raise LaunchFailed(self._invocation, error) from error
        except SandboxLost as error:
            raise LaunchFailed(self._invocation, error) from error
        return Launched(self._invocation, command, was_warm)

    async def _kill(self, sandbox_id: str) -> None:
        """End a sandbox that nobody can use any more; if that fails, its timeout or sweep does it."""
        with suppress(VendorUnavailable):
            await self._launches.sandboxes.kill(sandbox_id)
