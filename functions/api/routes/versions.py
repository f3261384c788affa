"""Versions: what was made runnable or was tried to, the logs of builds, and rollbacks."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from castari.bootstrap import catalogue
from castari.http.routing import Caller, Limit, Named, Offset, create_router
from castari.schemas.agents import AgentResponse
from castari.schemas.versions import LogResponse, RollbackRequest, VersionResponse

router = create_router()
_TAGS = ["versions"]
_LogLimit = Annotated[int, Query(ge=1, le=200)]


@router.get("/agents/<slug>/versions", summary="List versions", tags=_TAGS)
def list_versions(
    slug: Named, caller: Caller, limit: Limit = 20, offset: Offset = 0
) -> list[VersionResponse]:
    """Return an agent's versions, newest first."""
    agent, versions = catalogue.versions().list(caller.user_id, slug, limit=limit, offset=offset)
    return [VersionResponse.of_version(version, agent) for version in versions]


@router.get("/agents/<slug>/versions/<version_id>", summary="Get a version", tags=_TAGS)
def get_version(slug: Named, version_id: Named, caller: Caller) -> VersionResponse:
    """Return one version; its `message` says what failed."""
    agent, version = catalogue.versions().get(caller.user_id, slug, version_id)
    return VersionResponse.of_version(version, agent)


@router.get("/agents/<slug>/versions/<version_id>/log", summary="Read a build's log", tags=_TAGS)
def get_log(
    slug: Named, version_id: Named, caller: Caller, offset: Offset = 0, limit: _LogLimit = 100
) -> LogResponse:
    """Return a part of the log, which grows while the build runs: ask again from `next_offset` on."""
    version, entries = catalogue.versions().log(caller.user_id, slug, version_id, offset=offset, limit=limit)
    return LogResponse.of_log(version, entries, offset=offset, limit=limit)


@router.post("/agents/<slug>/rollback", summary="Roll back", tags=_TAGS)
def roll_back(slug: Named, body: RollbackRequest, caller: Caller) -> AgentResponse:
    """Make an earlier version serve again, at once; deploys that are under way end as superseded."""
    return AgentResponse.of_agent(catalogue.rollbacks().roll_back(caller.user_id, slug, body.version))
