"""Launches an attempt in a session: holds the session, resumes or makes its sandbox, starts the runner."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from castari.adapters.commands import RunningCommand
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.session_holds import SessionHolds
from castari.adapters.tables.sessions import SessionsTable
from castari.clock import Clock, utc_now
from castari.errors import (
    CastariError,
    NotFound,
    SandboxLost,
    SandboxMissing,
    SessionBusy,
    SessionEnded,
    StaleWrite,
    TooManySessions,
    VendorRateLimited,
    VendorUnavailable,
)
from castari.ids import new_id
from castari.models import ActiveVersion, Agent, Invocation, SandboxAccess, Session
from castari.services import session_states
from castari.services.attempts import (
    SANDBOX_GRACE_SECONDS,
    Launched,
    LaunchFailed,
    StartUnconfirmed,
    claiming,
    deadline,
)
from castari.services.environments import Environments
from castari.services.runner_starts import RunnerStarts

_PAUSE_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.2
VANISHED = "its sandbox is gone"


@dataclass(frozen=True)
class SessionLaunches:
    """Starts attempts in sandboxes that stay; one at a time in each."""

    invocations: InvocationsTable
    holds: SessionHolds
    sessions: SessionsTable
    sandboxes: Sandboxes
    sealer: Sealer
    environments: Environments
    keep: timedelta
    most_per_agent: int
    clock: Clock = utc_now

    async def launch(
        self,
        agent: Agent,
        version: ActiveVersion,
        invocation: Invocation,
        *,
        stored: bool,
        attended: bool,
        ends_at: float | None,
    ) -> Launched:
        """Begin the next attempt of a queued invocation in its session, which is made when there is none.

        Raises `SessionBusy`, `SessionEnded`, `TooManySessions`, `StaleWrite`;
        once it is claimed, `LaunchFailed`, at `ends_at` (of the loop's clock) as `Launches` does.
        """
        session, is_new = await self._free_session(agent, version, invocation, waits=not stored)
        pinned = agent.model_copy(update={"active_version": session.version})
        environment = self.environments.of_attempt(
            pinned, invocation, invocation.attempt + 1, attended=attended
        )
        claimed, held = self._claim(invocation, session, stored=stored, is_new=is_new)
        entry = _Entry(self, claimed, held)
        try:
            access = await entry.enter(ends_at)
            command = await entry.start(access, environment, ends_at)
        except SandboxMissing as error:
            raise LaunchFailed(entry.invocation, vanished()) from error
        except (VendorUnavailable, SandboxLost, SessionEnded, StartUnconfirmed) as error:
            raise LaunchFailed(entry.invocation, error) from error
        return Launched(entry.invocation, command, was_warm=False)

    def _claim(
        self, invocation: Invocation, session: Session, *, stored: bool, is_new: bool
    ) -> tuple[Invocation, Session]:
        """Record the attempt and hold the session, with one stroke."""
        now = self.clock()
        changes = {
            **claiming(invocation, session.version, now),
            "sandbox_id": None,
            "sealed_access": None,
            "deadline_at": deadline(invocation, now, has_sandbox=False),
            "claim_id": new_id("claim"),
        }
        holding = session_states.held(session, invocation, now, self.keep) | {"version": session.version}
        try:
            return self.holds.begin(invocation, changes, session, holding, stored=stored, is_new=is_new)
        except (StaleWrite, SessionBusy, VendorUnavailable):
            # The answer to a write may be lost, and the SDK's next try then loses against the first.
            claimed = invocation.model_copy(update=changes)
            if not self._is_ours(claimed):
                raise
            return claimed, session.model_copy(update=holding)

    def _is_ours(self, claimed: Invocation) -> bool:
        try:
            return self.invocations.get(claimed.invocation_id).claim_id == claimed.claim_id
        except (NotFound, VendorUnavailable):
            return False

    async def _free_session(
        self, agent: Agent, version: ActiveVersion, invocation: Invocation, *, waits: bool
    ) -> tuple[Session, bool]:
        """Return a session that may be held, and whether it is new; one that is being paused is soon free."""
        patience = _PAUSE_PATIENCE_SECONDS if waits else 0.0
        while True:
            try:
                session = self.sessions.get(invocation.agent_id, invocation.session_id)
            except NotFound:
                return self._draft(agent, version, invocation.session_id), True
            if patience <= 0 or not session_states.is_being_paused(session, self.clock()):
                break
            patience -= _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
        session_states.require_free(session, self.clock())
        if session.sandbox_id is None:
            # Nothing was made yet, so nothing is pinned.
            session = session.model_copy(update={"version": version})
        return session, False

    def _draft(self, agent: Agent, version: ActiveVersion, session_id: str) -> Session:
        count = len(self.sessions.list_for_agent(agent.agent_id, limit=self.most_per_agent, offset=0))
        if count >= self.most_per_agent:
            raise TooManySessions(
                f"agent `{agent.slug}` has {count} sessions, which is the most",
                remedy="delete some: `cast sessions delete`, or DELETE …/sessions/{id}",
            )
        now = self.clock()
        return Session(
            agent_id=agent.agent_id,
            session_id=session_id,
            user_id=agent.user_id,
            slug=agent.slug,
            version=version,
            status="busy",
            created_at=now,
            last_used_at=now,
            expires_at=now + self.keep,
        )


class _Entry:
    """The way of a claimed invocation into the sandbox of its session."""

    def __init__(self, launches: SessionLaunches, invocation: Invocation, session: Session) -> None:
        self._launches, self._session = launches, session
        self.invocation = invocation
        self._seconds = invocation.timeout_seconds + SANDBOX_GRACE_SECONDS

    async def enter(self, ends_at: float | None) -> SandboxAccess:
        """Resume the session's sandbox or make it, and record it before anything starts in it.

        Raises `SandboxMissing` if it is gone, `SessionEnded` if the session was deleted meanwhile,
        `VendorUnavailable`.
        """
        try:
            async with asyncio.timeout_at(ends_at):
                access = await self._resume_or_create()
        except TimeoutError as error:
            raise VendorRateLimited("the session's sandbox could not be had in time") from error
        try:
            self._record(access)
        except CastariError:
            if self._session.sandbox_id is None:
                await self._kill(access.sandbox_id)
            raise
        return access

    async def start(
        self, access: SandboxAccess, environment: Mapping[str, SecretStr], ends_at: float | None
    ) -> RunningCommand:
        """Start the runner. Raises as `RunnerStarts` does."""
        return await RunnerStarts(self._launches.sandboxes).start(
            access, self.invocation, environment, ends_at=ends_at
        )

    async def _resume_or_create(self) -> SandboxAccess:
        if self._session.sandbox_id is None:
            return await self._create()
        return await self._launches.sandboxes.connect(self._session.sandbox_id, timeout_seconds=self._seconds)

    def _record(self, access: SandboxAccess) -> None:
        ends_at = deadline(self.invocation, self._launches.clock(), has_sandbox=True)
        changes = {
            "sandbox_id": access.sandbox_id,
            "sealed_access": self._launches.sealer.seal(access),
            "deadline_at": ends_at,
        }
        kept = {"sandbox_id": access.sandbox_id}
        try:
            self.invocation = self._launches.holds.change(self.invocation, changes, kept)
        except SessionBusy as error:
            raise SessionEnded("Session cannot be resumed", remedy="it was deleted meanwhile") from error

    async def _kill(self, sandbox_id: str) -> None:
        with suppress(VendorUnavailable):
            await self._launches.sandboxes.kill(sandbox_id)

    async def _create(self) -> SandboxAccess:
        try:
            return await self._launches.sandboxes.create(
                self._session.version.snapshot_id,
                timeout_seconds=self._seconds,
                metadata={
                    "kind": "session",
                    "agent_id": self._session.agent_id,
                    "user_id": self._session.user_id,
                    "version_id": self._session.version.version_id,
                    "session_id": self._session.session_id,
                },
                idempotency_key=f"{self.invocation.invocation_id}-{self.invocation.attempt}".replace(
                    "_", "-"
                ),
                pauses=True,
            )
        except SandboxMissing as error:
            # It is the version's snapshot that is gone, and no session yet.
            raise VendorUnavailable(str(error)) from error


def vanished() -> SessionEnded:
    """Return the error of a session whose sandbox is not there any more."""
    return SessionEnded(
        "Session cannot be resumed",
        remedy=f"{VANISHED}: start another session, which begins with an empty sandbox",
    )
