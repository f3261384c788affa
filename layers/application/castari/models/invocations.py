"""Invocations: their states, ends, attempts and callbacks, and the requests that made them."""

from datetime import datetime
from typing import Literal

from castari.models.records import Model

InvocationStatus = Literal["queued", "running", "completed", "failed", "timed_out", "cancelled", "lost"]
OutputStream = Literal["stdout", "stderr"]
CallbackStatus = Literal["waiting", "pending", "delivered", "failed"]
RunEventName = Literal[
    "agent_started", "prompt_fetched", "stdin_closed", "stdin_refused", "stdout_full", "stderr_full",
    "limit_reached", "agent_exited", "answer_stored", "answer_not_stored", "log_stored", "log_not_stored",
]  # fmt: skip
"""What a runner tells of."""
FailureCode = Literal[
    "timeout", "out_of_memory", "heap_out_of_memory", "disk_full", "nonzero_exit", "killed",
    "network_unreachable", "sandbox_lost", "session_ended", "too_many_sessions", "vendor_unavailable",
    "agent_not_active", "internal", "cancelled",
]  # fmt: skip
TERMINAL_STATUSES: frozenset[InvocationStatus] = frozenset(
    {"completed", "failed", "timed_out", "cancelled", "lost"}
)


class Failure(Model):
    """Why an invocation did not complete, and how to mend it."""

    code: FailureCode
    message: str
    remedy: str
    exit_code: int | None = None
    signal: str | None = None


class History(Model):
    """Which of an agent's invocations are wanted; `since` counts and `until` does not."""

    status: InvocationStatus | None = None
    session_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class RunEvent(Model):
    """What happened in a sandbox, so long after its runner began."""

    name: RunEventName
    at_milliseconds: int


class PastAttempt(Model):
    """An attempt that came to nothing, and after which another one was made."""

    number: int
    sandbox_id: str | None
    started_at: datetime | None
    ended_at: datetime
    message: str


class Callback(Model):
    """Where the end of an invocation is told, and how far that got; `waiting` is before the end."""

    url: str
    status: CallbackStatus = "waiting"
    attempts: int = 0
    last_status: int | None = None
    """The HTTP status of the latest answer, if there was one."""
    message: str | None = None
    """What went wrong last, and what to do."""
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None


class RequestKey(Model):
    """What a request with an idempotency key is known by; the key itself is not kept."""

    row_id: str
    body_hash: str


class MadeRequest(Model):
    """What a request made: the id of its invocation."""

    body_hash: str
    made: str


class Invocation(Model):
    """One prompt in, one answer out. Exactly one finisher ever moves it to a terminal status."""

    invocation_id: str
    session_id: str
    in_session: bool = False
    """Whether it runs in the sandbox of its session; else in a fresh one, and the id names it alone."""
    user_id: str
    agent_id: str
    slug: str
    version_id: str | None = None
    status: InvocationStatus
    attempt: int = 0
    timeout_seconds: int
    prompt: str | None = None
    prompt_key: str | None = None
    """The prompt's object in the result bucket when it is too long for the row."""
    claim_id: str | None = None
    """Who claimed the attempt: a worker whose write was not answered finds out by it whether it did."""
    retries_left: int | None = None
    past_attempts: tuple[PastAttempt, ...] = ()
    queued_at: datetime | None = None
    """When it was queued again, after an attempt that was lost."""
    place: str | None = None
    """Its place in line, if it ever had to wait for a sandbox to be made; kept when it waits again."""
    sandbox_id: str | None = None
    deadline_at: datetime
    """The lease of its status: an open row past it is sweep's."""
    response: str | None = None
    response_key: str | None = None
    response_is_base64: bool = False
    truncated: bool = False
    stderr_tail: str | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_dollars: int = 0
    duration_milliseconds: int | None = None
    start_milliseconds: int | None = None
    """What its sandbox's start took of the duration; None where nothing tells."""
    run_milliseconds: int | None = None
    """What the agent itself took of it; the rest is what came after."""
    sealed_access: str | None = None
    """The way into its sandbox while it runs, sealed, for whoever reads its output meanwhile."""
    stderr_bytes: int = 0
    """All that it printed on stderr, of which `stderr_tail` is the end."""
    stderr_stored_bytes: int = 0
    """So much of its end is in the result bucket, where that is more than `stderr_tail`."""
    events: tuple[RunEvent, ...] = ()
    """What its runner told."""
    request: RequestKey | None = None
    """What it was asked for with, if with an idempotency key."""
    callback: Callback | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
