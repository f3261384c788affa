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
    """What counts against the limits of the sandbox service's plan: by name, so that nothing counts twice."""

    version: int = 0
    """Changes whenever anything is counted."""
    ended: int = 0
    """Changes whenever anything is counted no more."""
    sandboxes: frozenset[str] = frozenset()
    """The ids of those that exist."""
    promised: frozenset[str] = frozenset()
    """Of those that somebody is about to make."""
    calls: frozenset[str] = frozenset()
    """Promises that are still on their way to a worker, with the call of who waited in line."""
    unseen: frozenset[str] = frozenset()
    """The ids that the service did not list at `unseen_at`."""
    unseen_at: datetime | None = None
    read_at: datetime | None = None
    """When this was asked for."""
    recent: tuple[datetime, ...] = ()
    """When the latest were counted, the oldest first; as many as may be made in a second."""
    turn: int = 0
    """The turn of the line that was served last."""

    @property
    def alive(self) -> int:
        """How many sandboxes there are, and may be at any moment."""
        return len(self.sandboxes) + len(self.promised) + len(self.calls)


class Waiting(Model):
    """An invocation in line for a sandbox; places are served in the order of their text."""

    place: str
    invocation_id: str
    user_id: str
    called_until: datetime | None = None
    """Until when a worker is busy calling it up."""
