"""Versions of an agent, the logs of their builds, and the way back to one."""

from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field

from castari.models import Agent, LogEntry, LogKind, Step, Version, VersionStatus
from castari.schemas.shapes import Request, Response


class StepResponse(Response):
    """A step of a build that is over, and what it did."""

    name: str
    seconds: float
    note: str

    @classmethod
    def of_step(cls, step: Step) -> Self:
        """Return the public shape of a step."""
        return cls.of(step)


class VersionResponse(Response):
    """One version of an agent; `created_by` is an API key's id, null where an S3 client put the bundle."""

    id: str
    number: int
    status: VersionStatus
    message: str | None
    active: bool
    source_hash: str
    lockfile_hash: str | None
    size_bytes: int
    build_ms: int | None
    steps: list[StepResponse]
    reused_dependencies: bool
    warnings: list[str]
    created_by: str | None
    attempt: int
    manifest: dict[str, Any]
    created_at: AwareDatetime

    @classmethod
    def of_version(cls, version: Version, agent: Agent) -> Self:
        """Return the public shape of a version of an agent."""
        active = agent.active_version is not None and agent.active_version.version_id == version.version_id
        return cls.of(
            version,
            id=version.version_id,
            active=active,
            build_ms=version.build_milliseconds,
            steps=[StepResponse.of_step(step) for step in version.steps],
            warnings=list(version.warnings),
        )


class LogEntryResponse(Response):
    """A piece of a build's log; `text` is output, a note, or what a step did, which took `seconds`."""

    offset: int
    at: AwareDatetime
    kind: LogKind
    step: str
    text: str
    seconds: float | None


class LogResponse(Response):
    """What a build's log holds from an offset on; once it is `done`, nothing will follow `next_offset`."""

    status: VersionStatus
    entries: list[LogEntryResponse]
    next_offset: int
    done: bool

    @classmethod
    def of_log(cls, version: Version, entries: list[LogEntry], *, offset: int, limit: int) -> Self:
        """Return the public shape of a part of a log that was asked for."""
        return cls(
            status=version.status,
            entries=[LogEntryResponse.of(entry) for entry in entries],
            next_offset=entries[-1].offset + 1 if entries else offset,
            done=version.status != "building" and len(entries) < limit,
        )


class RollbackRequest(Request):
    """The version that is to serve again: its number or its id."""

    version: Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=1, max_length=128)]
