"""Sessions as their owner sees them: listed and deleted."""

import builtins
from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.tables.sessions import SessionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite
from castari.messages import EndSession
from castari.models import Agent, Session
from castari.services import session_states

_TRIES = 5


@dataclass(frozen=True)
class Sessions:
    """What the API offers of sessions; their sandboxes are ended by whoever takes the message."""

    table: SessionsTable
    maintenance: Queue
    clock: Clock = utc_now

    def list(self, agent: Agent, *, limit: int, offset: int) -> builtins.list[Session]:
        """Return an agent's sessions, the newest first; those that ended are shown for a week."""
        listed = self.table.list_for_agent(agent.agent_id, limit=limit, offset=offset)
        return [session for session in listed if session.status != "deleted"]

    def delete(self, agent: Agent, session_id: str) -> None:
        """Take a session from everybody, and have its sandbox ended. Raises `NotFound`.

        The message goes first and decides: whoever takes it deletes the session, should we end before we do.
        """
        session = self._get(agent, session_id)
        message = EndSession(agent_id=agent.agent_id, session_id=session_id, created_at=session.created_at)
        self.maintenance.send(message)
        with suppress(NotFound):  # Whoever took the message was faster.
            self._take_away(agent, session)

    def _take_away(self, agent: Agent, session: Session) -> None:
        """Mark the row at once; whoever uses the session at the same moment makes us look again."""
        for _ in range(_TRIES):
            try:
                self.table.change(session, session_states.deleted(self.clock()))
            except StaleWrite:
                session = self._get(agent, session.session_id)
            else:
                return

    def _get(self, agent: Agent, session_id: str) -> Session:
        session = self.table.get(agent.agent_id, session_id)
        if session.status == "deleted":
            raise NotFound("Session not found")
        return session
