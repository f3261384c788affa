"""Carries out pauses: holds the session meanwhile, so that nobody is paused in the middle of a run."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.sessions import SessionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, SandboxMissing, StaleWrite, VendorUnavailable
from castari.messages import PauseSession
from castari.models import Session
from castari.services import session_states
from castari.settings import Limits


@dataclass(frozen=True)
class SessionPauses:
    """A pause that fails or never ends leaves the session free after a minute."""

    sessions: SessionsTable
    sandboxes: Sandboxes
    limits: Limits
    clock: Clock = utc_now

    async def pause(self, message: PauseSession) -> str:
        """Pause a session's sandbox, unless somebody used it since; tell what was done."""
        try:
            session = self.sessions.get(message.agent_id, message.session_id)
        except NotFound:
            return "gone"
        if not self._is_idle(session):
            return "in use, or used since"
        until = self.clock() + timedelta(seconds=session_states.PAUSE_SECONDS)
        try:
            held = self.sessions.change(session, {"holder": session_states.PAUSING, "held_until": until})
        except StaleWrite:
            return "used since"
        return await self._pause(held)

    def _is_idle(self, session: Session) -> bool:
        now = self.clock()
        rested = now - session.last_used_at >= timedelta(seconds=self.limits.session_idle_seconds)
        return session.status == "idle" and rested and not session_states.is_held(session, now)

    async def _pause(self, held: Session) -> str:
        changes: dict[str, object] = {"holder": None, "held_until": None}
        try:
            if held.sandbox_id:
                await self.sandboxes.pause(held.sandbox_id)
            changes["status"] = "paused"
        except SandboxMissing:
            changes = session_states.ended("its sandbox is gone", self.clock())
        except VendorUnavailable:
            pass  # Its own timeout pauses it.
        with suppress(StaleWrite):
            return str(self.sessions.change(held, changes).status)
        return "taken over"
