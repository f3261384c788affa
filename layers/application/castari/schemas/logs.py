"""Logs of invocations."""

from pydantic import AwareDatetime

from castari.models import InvocationStatus
from castari.schemas.shapes import Response


class LogEventResponse(Response):
    """Something that happened to an invocation."""

    at: AwareDatetime
    event: str
    """`accepted`, `attempt_started`, `attempt_lost`, `ended`, or what the runner told in between."""
    detail: str | None


class LogResponse(Response):
    """What happened to an invocation, and what its agent printed on stderr.

    `stderr` is text, or base64 where `stderr_is_base64` says so. `truncated` says that the agent printed
    more than this, which is the end; `notice` says why there is less than one might expect.
    """

    invocation_id: str
    status: InvocationStatus
    attempt: int
    events: list[LogEventResponse]
    stderr: str
    stderr_is_base64: bool
    stderr_bytes: int
    truncated: bool
    notice: str | None
