"""Sandboxes that stay between invocations."""

from datetime import datetime
from typing import Literal

from castari.models.agents import ActiveVersion
from castari.models.records import Model

SessionStatus = Literal["busy", "idle", "paused", "ended", "deleted"]


class Session(Model):
    """A sandbox that stays between invocations. Whoever is its `holder` may use, pause or end it."""

    agent_id: str
    session_id: str
    user_id: str
    slug: str
    version: ActiveVersion
    """Pinned when its sandbox is made: later deploys do not change it."""
    status: SessionStatus
    message: str | None = None
    """Why it ended."""
    sandbox_id: str | None = None
    holder: str | None = None
    """The id of the invocation that runs in it, or `pausing`; none while it is free."""
    held_until: datetime | None = None
    invocation_count: int = 0
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    """When it ends for lack of use; once it has ended, when it is forgotten."""
