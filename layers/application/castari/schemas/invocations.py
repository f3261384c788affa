"""Invocations: a prompt in, an answer or a failure out."""

import base64
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from castari import durations
from castari.models import Failure, Invocation, InvocationStatus, OutputStream, PastAttempt
from castari.schemas.callbacks import CallbackResponse, CallbackUrl
from castari.schemas.fields import SessionId, TimeoutSeconds
from castari.schemas.shapes import Request, Response
from castari.schemas.usage import MICRO_DOLLARS


def _said_something(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("empty", "must not be empty: it is what the agent reads on its stdin")
    return text


class InvocationCreate(Request):
    """A prompt for an agent, which runs at most `timeout_seconds` (else the agent's own limit)."""

    prompt: Annotated[str, AfterValidator(_said_something)]
    session_id: SessionId | None = None
    """Run in the sandbox of this session, which is made if there is none of this id."""
    session: bool = False
    """Start a session whose id the answer tells."""
    timeout_seconds: TimeoutSeconds | None = None
    callback_url: CallbackUrl | None = None
    """Where the result is sent when it is over, instead of to the agent's own `callback_url`."""


class InvocationBatchCreate(Request):
    """Prompts for an agent, each for an invocation of its own; all together at most 6 MB."""

    prompts: Annotated[
        list[Annotated[str, AfterValidator(_said_something)]], Field(min_length=1, max_length=1000)
    ]
    timeout_seconds: TimeoutSeconds | None = None
    callback_url: CallbackUrl | None = None
    """Where each result is sent, one by one."""


class InvokeQuery(Request):
    """How many seconds to wait for the answer: 0 for none, and unless said as long as can be waited."""

    wait: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] | None = None


class OutputQuery(Request):
    """Which part of what an agent prints, and how many seconds to wait for it."""

    stream: OutputStream = "stdout"
    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    wait: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)] = 0


class InvocationAccepted(Response):
    """An invocation that is not done yet: poll the `Location`."""

    invocation_id: str
    session_id: str
    status: InvocationStatus


class InvocationBatchAccepted(Response):
    """The invocations of a batch, in the order of its prompts."""

    invocations: list[InvocationAccepted]


class InvocationResponse(Response):
    """One invocation; `response_content` is base64 where `response_is_base64` says so."""

    invocation_id: str
    session_id: str
    sandbox_id: str | None
    response_content: str | None
    response_is_base64: bool
    truncated: bool
    input_tokens: int
    output_tokens: int
    total_cost_usd: float
    duration_ms: int | None
    """From the start of its last attempt to its end: start, run and finish together."""
    queue_ms: int | None
    """From its acceptance to the start of its last attempt, or to its end if there was none."""
    start_ms: int | None
    """From there until the agent was started: a sandbox was claimed or made, and the runner began."""
    run_ms: int | None
    """From the agent's start to its end."""
    finish_ms: int | None
    """From there to the end: the result was handed in and written down."""
    sandbox_seconds: float | None
    """How long sandboxes were held for it, by all its attempts."""
    status: InvocationStatus
    failure: Failure | None
    attempt: int = 0
    """How many tries there were, this one included."""
    past_attempts: tuple[PastAttempt, ...] = ()
    """Those whose sandbox was lost."""
    notice: str | None
    """What may surprise about a completed invocation, and how to mend it."""
    stderr_tail: str | None
    callback: CallbackResponse | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None

    @classmethod
    def of_invocation(cls, invocation: Invocation) -> Self:
        """Return the public shape of an invocation that holds its answer."""
        return cls.of(
            invocation,
            response_content=invocation.response,
            notice=_notice(invocation),
            total_cost_usd=invocation.cost_micro_dollars / MICRO_DOLLARS,
            duration_ms=invocation.duration_milliseconds,
            queue_ms=durations.queued(invocation),
            start_ms=invocation.start_milliseconds,
            run_ms=invocation.run_milliseconds,
            finish_ms=durations.finish(invocation),
            sandbox_seconds=durations.sandbox_seconds(invocation),
            callback=CallbackResponse.of_invocation(invocation),
        )


def _notice(invocation: Invocation) -> str | None:
    if invocation.status != "completed":
        return None
    if invocation.truncated:
        return "the answer was cut: write large results to a file or a bucket, and answer with where they are"
    if invocation.response == "":
        return "the agent printed nothing on stdout: that is where its answer belongs; stderr is its log"
    return None


class OutputResponse(Response):
    """A part of what an agent prints: bytes `offset` to `next_offset`; `done` when nothing will follow.

    `content` is text, or base64 where `is_base64` says so. It begins after the offset that was asked for
    where what lies before was not kept.
    """

    status: InvocationStatus
    offset: int
    next_offset: int
    content: str
    is_base64: bool
    done: bool

    @classmethod
    def of_part(cls, part: object, content: bytes) -> Self:
        """Return the public shape of a part that holds these bytes."""
        try:
            return cls.of(part, content=content.decode(), is_base64=False)
        except UnicodeDecodeError:
            return cls.of(part, content=base64.b64encode(content).decode(), is_base64=True)
