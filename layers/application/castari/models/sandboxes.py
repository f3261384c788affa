"""Sandboxes: the way into them, the warm ones, and what counts against the plan that makes them."""

from datetime import datetime

from pydantic import SecretStr

from castari.models.records import Model


class SandboxAccess(Model):
    """All that one needs to enter a sandbox."""

    sandbox_id: str
    access_token: SecretStr
    envd_version: str
    domain: str | None = None


class SandboxSummary(Model):
    """A sandbox as a listing tells it."""

    sandbox_id: str
    metadata: dict[str, str]
    started_at: datetime
    ends_at: datetime
    is_paused: bool = False
    """Paused ones do not count against the plan's limit of sandboxes at once."""


class WarmSandbox(Model):
    """A sandbox made from a version and never used; whoever deletes its row owns it."""

    version_id: str
    sandbox_id: str
    agent_id: str
    sealed_access: str
    created_at: datetime
    expires_at: datetime


class CapacityState(Model):
    """What counts against the limits of the sandbox service's plan."""

    version: int = 0
    """How many sandboxes were ever counted: it changes with each."""
    alive: int = 0
    recent: tuple[datetime, ...] = ()
    """When the latest were counted, the oldest first; as many as may be made in a second."""
    turn: int = 0
    """The turn of the line that was served last."""


class Waiting(Model):
    """An invocation in line for a sandbox; places are served in the order of their text."""

    place: str
    invocation_id: str
    user_id: str
    called_until: datetime | None = None
    """Until when a worker is busy calling it up."""
