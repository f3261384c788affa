"""Versions of an agent."""

from typing import Any, Self

from pydantic import AwareDatetime

from castari.models import Agent, Version, VersionStatus
from castari.schemas.shapes import Response


class VersionResponse(Response):
    """One version of an agent."""

    id: str
    number: int
    status: VersionStatus
    message: str | None
    active: bool
    source_hash: str
    lockfile_hash: str | None
    size_bytes: int
    build_ms: int | None
    manifest: dict[str, Any]
    created_at: AwareDatetime

    @classmethod
    def of_version(cls, version: Version, agent: Agent) -> Self:
        """Return the public shape of a version of an agent."""
        active = agent.active_version is not None and agent.active_version.version_id == version.version_id
        return cls.of(version, id=version.version_id, active=active, build_ms=version.build_milliseconds)
