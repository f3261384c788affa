"""The `Idempotency-Key` header: what it may hold, and the key that a request is known by."""

from pydantic import BaseModel

from castari.errors import Unprocessable
from castari.http.answers import Event
from castari.models import Agent, RequestKey
from castari.services.requests import request_key

_LONGEST_CHARACTERS = 255


def header_of(event: Event) -> str | None:
    """Return the header of a request that no resolver reads."""
    value: str | None = event.get("headers", {}).get("idempotency-key")
    return value


def request_of(
    agent: Agent, key: str | None, body: BaseModel, *, item: int | None = None
) -> RequestKey | None:
    """Return what the request is known by, or None without a key. Raises `Unprocessable` for a bad one."""
    if key is None:
        return None
    if not 1 <= len(key) <= _LONGEST_CHARACTERS or not key.isascii() or not key.isprintable():
        raise Unprocessable(
            f"must be 1 to {_LONGEST_CHARACTERS} printable ASCII characters, such as a UUID",
            field=("header", "Idempotency-Key"),
        )
    # Without what was left out: a release that knows more fields sees the same body in the same request.
    return request_key(agent, key, body.model_dump(mode="json", exclude_unset=True), item=item)
