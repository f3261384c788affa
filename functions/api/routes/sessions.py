"""Sessions: list and delete them. The first invocation that names one makes it."""

from castari.bootstrap import catalogue, results
from castari.http.routing import Caller, Limit, Named, Offset, create_router
from castari.schemas.sessions import SessionResponse

router = create_router()
_TAGS = ["sessions"]


@router.get("/agents/<slug>/sessions", summary="List sessions", tags=_TAGS)
def list_sessions(
    slug: Named, caller: Caller, limit: Limit = 20, offset: Offset = 0
) -> list[SessionResponse]:
    """Return an agent's sessions, the newest first; one that ended stays a week and says why."""
    agent = catalogue.agents().get(caller.user_id, slug)
    listed = results.sessions().list(agent, limit=limit, offset=offset)
    return [SessionResponse.of_session(session) for session in listed]


@router.delete(
    "/agents/<slug>/sessions/<session_id>", summary="Delete a session", tags=_TAGS, status_code=204
)
def delete_session(slug: Named, session_id: Named, caller: Caller) -> None:
    """End a session with all that is in it; an invocation that runs there is cancelled."""
    results.sessions().delete(catalogue.agents().get(caller.user_id, slug), session_id)
