"""Versions: what was made runnable, or was tried to."""

from castari import bootstrap
from castari.http.routing import Caller, Limit, Named, Offset, create_router
from castari.schemas.versions import VersionResponse

router = create_router()
_TAGS = ["versions"]


@router.get("/agents/<slug>/versions", summary="List versions", tags=_TAGS)
def list_versions(
    slug: Named, caller: Caller, limit: Limit = 20, offset: Offset = 0
) -> list[VersionResponse]:
    """Return an agent's versions, newest first."""
    agent, versions = bootstrap.versions().list(caller.user_id, slug, limit=limit, offset=offset)
    return [VersionResponse.of_version(version, agent) for version in versions]


@router.get("/agents/<slug>/versions/<version_id>", summary="Get a version", tags=_TAGS)
def get_version(slug: Named, version_id: Named, caller: Caller) -> VersionResponse:
    """Return one version; its `message` says what failed."""
    agent, version = bootstrap.versions().get(caller.user_id, slug, version_id)
    return VersionResponse.of_version(version, agent)
