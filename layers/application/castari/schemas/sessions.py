"""Sessions: sandboxes that stay between invocations."""

from typing import Self

from pydantic import AwareDatetime

from castari.models import Session, SessionStatus
from castari.schemas.shapes import Response


class SessionResponse(Response):
    """One session; `message` says why it ended and so cannot be resumed."""

    session_id: str
    status: SessionStatus
    message: str | None
    version: int
    """The agent's version that it was started with, and stays with."""
    sandbox_id: str | None
    invocation_id: str | None
    """What runs in it now."""
    invocation_count: int
    created_at: AwareDatetime
    last_used_at: AwareDatetime
    expires_at: AwareDatetime
    """When it ends for lack of use; once it has ended, when it is forgotten."""

    @classmethod
    def of_session(cls, session: Session) -> Self:
        """Return the public shape of a session."""
        running = session.holder if session.status == "busy" else None
        return cls.of(session, version=session.version.number, invocation_id=running)
