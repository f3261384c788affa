"""Deletions: how far the removal of agents got."""

from castari.bootstrap import catalogue
from castari.http.routing import Caller, create_router
from castari.schemas.deletions import DeletionResponse

router = create_router()


@router.get("/deletions", summary="List deletions", tags=["agents"])
def list_deletions(caller: Caller) -> list[DeletionResponse]:
    """Return the deleted agents of which something is left; what is removed wholly is not in the list."""
    return [DeletionResponse.of_deletion(each) for each in catalogue.agents().deletions(caller.user_id)]
