"""Agents: create, read, change, stop, delete."""

from castari.bootstrap import catalogue
from castari.http.routing import Caller, Limit, Named, Offset, create_router
from castari.schemas.agents import AgentCreate, AgentResponse, AgentUpdate

router = create_router()
_TAGS = ["agents"]


@router.get("/agents", summary="List agents", tags=_TAGS)
def list_agents(caller: Caller, limit: Limit = 20, offset: Offset = 0) -> list[AgentResponse]:
    """Return your agents, by slug."""
    agents = catalogue.agents().list(caller.user_id, limit=limit, offset=offset)
    return [AgentResponse.of_agent(agent) for agent in agents]


@router.post("/agents", summary="Create an agent", tags=_TAGS, status_code=201)
def create_agent(body: AgentCreate, caller: Caller) -> AgentResponse:
    """Make a draft; it serves once a bundle is deployed."""
    return AgentResponse.of_agent(catalogue.agents().create(caller.user_id, body))


@router.get("/agents/<slug>", summary="Get an agent", tags=_TAGS)
def get_agent(slug: Named, caller: Caller) -> AgentResponse:
    """Return one agent; poll this while it is `deploying`."""
    return AgentResponse.of_agent(catalogue.agents().get(caller.user_id, slug))


@router.patch("/agents/<slug>", summary="Change an agent", tags=_TAGS)
def update_agent(slug: Named, body: AgentUpdate, caller: Caller) -> AgentResponse:
    """Change what is sent and keep the rest; null empties a field."""
    return AgentResponse.of_agent(catalogue.agents().update(caller.user_id, slug, body))


@router.delete("/agents/<slug>", summary="Delete an agent", tags=_TAGS, status_code=204)
def delete_agent(slug: Named, caller: Caller) -> None:
    """Remove an agent at once; all it has follows within minutes, and `/deletions` says how far that is."""
    catalogue.agents().delete(caller.user_id, slug)


@router.delete("/agents/<slug>/sandbox", summary="Stop an agent", tags=_TAGS)
def stop_agent(slug: Named, caller: Caller) -> AgentResponse:
    """Take an agent out of service and destroy its sandboxes; a deploy starts it again."""
    return AgentResponse.of_agent(catalogue.agents().stop(caller.user_id, slug))
