"""Versions of agents and the logs of their builds."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from castari.models.records import JsonText, Model

VersionStatus = Literal["building", "ready", "failed", "superseded", "removed"]
LogKind = Literal["note", "step_started", "output", "step_done", "failed"]


class Step(Model):
    """A step of a build that is over, and what it did, in words."""

    name: str
    seconds: float
    note: str


class Version(Model):
    """One immutable bundle made runnable, or what was tried to make it so."""

    agent_id: str
    version_id: str
    user_id: str
    slug: str
    number: int
    status: VersionStatus
    message: str | None = None
    bundle_key: str
    source_hash: str
    lockfile_hash: str | None = None
    manifest: JsonText = Field(default_factory=dict)
    snapshot_id: str | None = None
    dependencies_snapshot_id: str | None = None
    """The state after the install, from which builds with the same lockfile start."""
    size_bytes: int = 0
    build_milliseconds: int | None = None
    reused_dependencies: bool = False
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    request_id: str = ""
    """What asked for it: a second delivery of the same request makes no second version."""
    requested_at: datetime
    created_by: str | None = None
    """The id of the API key that asked for it; none where an S3 client put the bundle."""
    attempt: int = 1
    lease_expires_at: datetime | None = None
    """Until when its worker is believed to live; the worker goes on renewing it."""
    gave_up: bool = False
    """Failed for a reason of the platform's own: its message belongs in the dead letter queue."""
    deadline_at: datetime
    created_at: datetime


class LogEntry(Model):
    """One line or piece of a build's log; `offset` counts the entries of a version from 0."""

    version_id: str
    offset: int
    at: datetime
    kind: LogKind
    step: str
    text: str
    seconds: float | None = None
    """How long a step took that is over."""
