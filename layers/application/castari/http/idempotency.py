"""The `Idempotency-Key` header: what it may hold, and the key that a request is known by."""

from typing import Any

from pydantic import BaseModel

from castari.errors import Unprocessable
from castari.http.answers import Event
from castari.models import Agent, RequestKey
from castari.services.requests import batch_keys, request_key

_LONGEST_CHARACTERS = 255


def header_of(event: Event) -> str | None:
    """Return the header of a request that no resolver reads."""
    value: str | None = event.get("headers", {}).get("idempotency-key")
    return value


def request_of(agent: Agent, key: str | None, body: BaseModel) -> RequestKey | None:
    """Return what the request is known by, or None without a key. Raises `Unprocessable` for a bad one."""
    return request_key(agent, _checked(key), _content(body)) if key is not None else None


def batch_requests_of(agent: Agent, key: str | None, body: BaseModel, *, items: int) -> list[RequestKey]:
    """Return what each item of a batch is known by, or none without a key. Raises as `request_of`."""
    return batch_keys(agent, _checked(key), _content(body), items) if key is not None else []


def _checked(key: str) -> str:
    if not 1 <= len(key) <= _LONGEST_CHARACTERS or not key.isascii() or not key.isprintable():
        raise Unprocessable(
            f"must be 1 to {_LONGEST_CHARACTERS} printable ASCII characters, such as a UUID",
            field=("header", "Idempotency-Key"),
        )
    return key


def _content(body: BaseModel) -> dict[str, Any]:
    """Return a body without what was left out: a release that knows more fields sees the same in it."""
    return body.model_dump(mode="json", exclude_unset=True)
