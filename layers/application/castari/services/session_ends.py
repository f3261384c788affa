"""Ends sessions: deleted by their owner, unused for too long, or their agent stopped."""

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.sessions import SessionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, VendorUnavailable
from castari.messages import EndSession
from castari.models import SandboxSummary, Session
from castari.services import session_states
from castari.services.cancels import Cancels

_MOST_AT_ONCE = 200
_TRIES = 5
_OVER = frozenset({"ended", "deleted"})


@dataclass(frozen=True)
class SessionEnds:
    """First the row, which takes the session from everybody; then its sandbox, which sweep ends else."""

    sessions: SessionsTable
    sandboxes: Sandboxes
    cancels: Cancels
    unused: str
    """What a session says that ended for lack of use."""
    clock: Clock = utc_now

    async def end_deleted(self, message: EndSession) -> str:
        """End what runs in a deleted session, its sandbox, and forget it. Raises `VendorUnavailable`."""
        session = self._taken_away(message)
        if session is None:
            return "gone already"
        if session.holder and session.holder != session_states.PAUSING:
            self.cancels.cancel_held(session.holder)
        if session.sandbox_id:
            await self.sandboxes.kill(session.sandbox_id)
        self.sessions.delete(session)
        return "ended"

    def end_all(self, agent_id: str, why: str) -> int:
        """End every session of an agent, whose sandboxes the caller kills; return how many."""
        return sum(self._end(session, why) for session in self.sessions.all(agent_id))

    def forget_all(self, agent_id: str) -> None:
        """Remove every row of an agent."""
        for session in self.sessions.all(agent_id):
            self.sessions.delete(session)

    async def expire(self) -> int:
        """End what nobody used for too long, and forget what ended long ago; return how many ended."""
        expired = islice(self.sessions.expired(self.clock()), _MOST_AT_ONCE)
        return sum([await self._expire(session) for session in list(expired)])

    def is_stray(self, sandbox: SandboxSummary) -> bool:
        """Tell whether a sandbox is of no session that goes on."""
        about = sandbox.metadata
        try:
            session = self.sessions.get(about.get("agent_id", ""), about.get("session_id", ""))
        except NotFound:
            return True
        return session.status in _OVER or session.sandbox_id != sandbox.sandbox_id

    async def _expire(self, indexed: Session) -> bool:
        """Look at the row itself, for the index may lag; what fails is left to the next round."""
        with suppress(NotFound, StaleWrite, VendorUnavailable):
            session = self.sessions.get(indexed.agent_id, indexed.session_id)
            if session.expires_at >= self.clock():
                return False
            goes_on = session.status not in _OVER
            if goes_on:
                self.sessions.change(session, session_states.ended(self.unused, self.clock()))
            if session.sandbox_id:
                await self.sandboxes.kill(session.sandbox_id)
            if not goes_on:
                self.sessions.delete(session)
            return goes_on
        return False

    def _taken_away(self, message: EndSession) -> Session | None:
        """Return a deleted session, which nobody can use any more; None if it is gone."""
        for _ in range(_TRIES):
            session = self._found(message.agent_id, message.session_id)
            if session is None or session.created_at != message.created_at:
                return None
            if session.status in _OVER:
                return session
            # Its owner's own request marks it at the same moment, and somebody may use it.
            with suppress(StaleWrite):
                return self.sessions.change(session, session_states.deleted(self.clock()))
        raise VendorUnavailable("the session changes all the time: its end is tried again")

    def _end(self, session: Session, why: str) -> bool:
        """End a session; whoever uses it at the same moment makes us look again."""
        found: Session | None = session
        for _ in range(_TRIES):
            if found is None or found.status in _OVER:
                return False
            try:
                self.sessions.change(found, session_states.ended(why, self.clock()))
            except StaleWrite:
                found = self._found(session.agent_id, session.session_id)
            else:
                return True
        return False

    def _found(self, agent_id: str, session_id: str) -> Session | None:
        with suppress(NotFound):
            return self.sessions.get(agent_id, session_id)
        return None
