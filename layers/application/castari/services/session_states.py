"""What becomes of a session's row: held, let go of, ended, deleted. Pure data for conditional writes."""

from datetime import datetime, timedelta

from castari.errors import SessionBusy, SessionEnded
from castari.models import Invocation, Session

PAUSING = "pausing"
"""Holds a session while its sandbox is paused; short, and nobody's once its time is over."""
PAUSE_SECONDS = 60
_SWEEP_SECONDS = 120
"""By then a sweep has finished an overdue invocation, and let go of its session with the same stroke."""
_REMEMBERED = timedelta(days=7)
"""So long a session that ended says why."""


def held(session: Session, invocation: Invocation, now: datetime, keep: timedelta) -> dict[str, object]:
    """Return the changes that give a session to an invocation."""
    overdue_at = now + timedelta(seconds=invocation.timeout_seconds + _SWEEP_SECONDS)
    return {
        "status": "busy",
        "holder": invocation.invocation_id,
        "held_until": overdue_at,
        "invocation_count": session.invocation_count + 1,
        "last_used_at": now,
        "expires_at": overdue_at + keep,
    }


def released(now: datetime, keep: timedelta) -> dict[str, object]:
    """Return the changes that let go of a session whose sandbox stays."""
    return {**_FREE, "status": "idle", "last_used_at": now, "expires_at": now + keep}


def ended(message: str, now: datetime) -> dict[str, object]:
    """Return the changes that end a session for good."""
    return {**_FREE, "status": "ended", "message": message, "expires_at": now + _REMEMBERED}


def deleted(now: datetime) -> dict[str, object]:
    """Return the changes that make a session its owner's no more; its holder is kept, to be ended too."""
    return {"status": "deleted", "expires_at": now + _REMEMBERED}


def require_free(session: Session, now: datetime) -> None:
    """Raise `SessionEnded` or `SessionBusy` unless an invocation may take the session."""
    if session.status == "ended":
        raise SessionEnded(
            "Session cannot be resumed",
            remedy=f"{session.message}: start another session with another `session_id`, or delete this one"
            " to use its id again; it begins with an empty sandbox",
        )
    if session.status == "deleted":
        raise SessionBusy("Session busy", remedy="it is being deleted: try again in a moment")
    if is_held(session, now):
        raise busy(session.holder)


def is_held(session: Session, now: datetime) -> bool:
    """Tell whether somebody uses the session: an invocation until it is finished, a pause for its time."""
    return is_being_paused(session, now) or session.holder not in {None, PAUSING}


def is_being_paused(session: Session, now: datetime) -> bool:
    """Tell whether a worker pauses the sandbox and is believed to live."""
    return session.holder == PAUSING and session.held_until is not None and session.held_until > now


def busy(holder: str | None) -> SessionBusy:
    """Return the error of whoever comes second."""
    return SessionBusy(
        "Session busy",
        remedy=f"{holder or 'another invocation'} runs in it: wait until that has ended, or send this one"
        " with POST …/invocations, where it waits its turn",
    )


_FREE: dict[str, object] = {"holder": None, "held_until": None}
