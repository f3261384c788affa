"""What a callback's receiver gets."""

from typing import Literal, Self

from pydantic import AwareDatetime

from castari.models import Invocation
from castari.schemas.invocations import InvocationResponse
from castari.schemas.shapes import Response

CallbackType = Literal[
    "invocation.completed", "invocation.failed", "invocation.timed_out", "invocation.cancelled",
    "invocation.lost",
]  # fmt: skip


class CallbackPayload(Response):
    """The end of an invocation; an answer over 100 KB is not in it, but where `location` says."""

    type: CallbackType
    timestamp: AwareDatetime
    """When the invocation ended."""
    agent: str
    """The agent's slug."""
    location: str
    data: InvocationResponse

    @classmethod
    def of_invocation(cls, invocation: Invocation) -> Self:
        """Return the same for each delivery: nothing in it tells of callbacks themselves."""
        return cls.model_validate(
            {
                "type": f"invocation.{invocation.status}",
                "timestamp": invocation.finished_at,
                "agent": invocation.slug,
                "location": f"/api/v1/agents/{invocation.slug}/invocations/{invocation.invocation_id}",
                "data": InvocationResponse.of_invocation(invocation.model_copy(update={"callback": None})),
            }
        )
