"""API keys, and who calls with them."""

from castari.bootstrap import catalogue, tables
from castari.http.routing import Caller, Limit, Named, Offset, create_router
from castari.schemas.api_keys import ApiKeyCreate, ApiKeyCreated, ApiKeyResponse, MeResponse

router = create_router()
_TAGS = ["account"]


@router.get("/auth/me", summary="Who am I?", tags=_TAGS)
def get_me(caller: Caller) -> MeResponse:
    """Return the user and key of this request."""
    user = tables.users_table().get(caller.user_id)
    return MeResponse.of(user, id=user.user_id, api_key_prefix=caller.prefix)


@router.get("/api-keys", summary="List API keys", tags=_TAGS)
def list_api_keys(caller: Caller, limit: Limit = 20, offset: Offset = 0) -> list[ApiKeyResponse]:
    """Return your keys, newest first, without their secrets."""
    keys = catalogue.api_keys().list(caller.user_id, limit=limit, offset=offset)
    return [ApiKeyResponse.of_key(key) for key in keys]


@router.post("/api-keys", summary="Create an API key", tags=_TAGS, status_code=201)
def create_api_key(body: ApiKeyCreate, caller: Caller) -> ApiKeyCreated:
    """Make a key; its text is in this answer and never again."""
    api_key, text = catalogue.api_keys().create(caller.user_id, body.name)
    return ApiKeyCreated(api_key=ApiKeyResponse.of_key(api_key), key=text)


@router.delete("/api-keys/<key_id>", summary="Revoke an API key", tags=_TAGS, status_code=204)
def revoke_api_key(key_id: Named, caller: Caller) -> None:
    """End a key's use at once."""
    catalogue.api_keys().revoke(caller.user_id, key_id)
