"""API keys, and who calls with them."""

from typing import Self

from pydantic import AwareDatetime

from castari.models import ApiKey
from castari.schemas.fields import Name
from castari.schemas.shapes import Request, Response


class ApiKeyCreate(Request):
    """A new API key."""

    name: Name


class ApiKeyResponse(Response):
    """An API key without its secret."""

    id: str
    name: str
    prefix: str
    created_at: AwareDatetime
    last_used_at: AwareDatetime | None

    @classmethod
    def of_key(cls, api_key: ApiKey) -> Self:
        """Return the public shape of a key."""
        return cls.of(api_key, id=api_key.key_id)


class ApiKeyCreated(Response):
    """An API key with its text, which is shown this once."""

    api_key: ApiKeyResponse
    key: str


class MeResponse(Response):
    """The caller."""

    id: str
    email: str
    api_key_prefix: str
    created_at: AwareDatetime
