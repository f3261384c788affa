"""Callbacks: the result that is sent, how far that got, and the secret that signs it."""

from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from castari import callback_urls
from castari.models import Callback, CallbackStatus, Invocation
from castari.schemas.shapes import Response


def _callback_url(url: str) -> str:
    try:
        callback_urls.parse(url)
    except ValueError as error:
        raise PydanticCustomError("callback_url", "{said}", {"said": str(error)}) from error
    return url


CallbackUrl = Annotated[
    str,
    Field(max_length=callback_urls.LONGEST_CHARACTERS, description="https to a public host, in ASCII"),
    AfterValidator(_callback_url),
]


class CallbackResponse(Response):
    """Where the end of an invocation is told, and how far that got; `waiting` is before the end."""

    url: str
    status: CallbackStatus
    attempts: int
    last_status: int | None
    """The HTTP status of the receiver's latest answer."""
    message: str | None
    """What went wrong last, and what to do."""
    next_attempt_at: AwareDatetime | None
    delivered_at: AwareDatetime | None

    @classmethod
    def of_invocation(cls, invocation: Invocation) -> Self | None:
        """Return the public shape of an invocation's callback, if it has one."""
        return cls.of(invocation.callback) if isinstance(invocation.callback, Callback) else None


class CallbackSecretCreated(Response):
    """A secret that signs callbacks, shown this once; the one before it signs beside it for 24 hours."""

    secret: str
    created_at: AwareDatetime
    previous_valid_until: AwareDatetime | None


class CallbackSecretResponse(Response):
    """A callback secret without its value."""

    created_at: AwareDatetime
    previous_valid_until: AwareDatetime | None
