"""What the platform keeps: agents, versions, invocations, warm sandboxes, keys, usage."""

import datetime as dt
import json
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr

JsonText = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value),
    PlainSerializer(json.dumps, return_type=str),
]
"""A stranger's JSON object, dumped as text: DynamoDB takes neither its deep nesting nor its long numbers."""

AgentStatus = Literal["draft", "deploying", "active", "stopped", "error"]
SourceType = Literal["git", "local"]
VersionStatus = Literal["building", "ready", "failed", "superseded", "removed"]
DeletionStep = Literal["sandboxes", "secrets", "bundles", "invocations", "versions"]
OutputStream = Literal["stdout", "stderr"]
LogKind = Literal["note", "step_started", "output", "step_done", "failed"]
CallbackStatus = Literal["waiting", "pending", "delivered", "failed"]
SessionStatus = Literal["busy", "idle", "paused", "ended", "deleted"]
InvocationStatus = Literal["queued", "running", "completed", "failed", "timed_out", "cancelled", "lost"]
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
GIT_SECRETS = frozenset({"GIT_TOKEN", "GIT_USERNAME", "GIT_CA_CERTIFICATE"})
"""Secrets of an agent from git that are for the clone alone: no invocation gets them."""
BOTH_CALLBACK_SECRETS_SIGN = dt.timedelta(hours=24)
"""So long receivers have to take over another callback secret."""
WarmChoice = int | Literal["auto"]
"""A number of warm sandboxes, or as many as the recent rate of invocations asks for."""
SecretTimes = tuple[datetime, datetime]
"""When a secret was created, and when it was last updated."""
TERMINAL_STATUSES: frozenset[InvocationStatus] = frozenset(
    {"completed", "failed", "timed_out", "cancelled", "lost"}
)


class Model(BaseModel):
    """A frozen record."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ActiveVersion(Model):
    """What an invocation must know of its version, kept on the agent's row so that one read is enough."""

    version_id: str
    number: int
    snapshot_id: str
    build_secrets: tuple[str, ...] = ()
    """Secrets that were for the install only, so that no invocation gets them."""
    retries: int = 0
    """How often a lost attempt may be made again."""
    outranks: int = 0
    """Deploys up to this number began before it was chosen: they end as superseded."""


class CallbackSecret(Model):
    """Which version of an agent's callback secret counts; its value is in Secrets Manager alone."""

    version_id: str
    previous_version_id: str | None = None
    """Kept for whoever read the row just before it changed."""
    made_at: datetime

    @property
    def previous_until(self) -> datetime | None:
        """Until when the secret before this one signs, too; None if there was none."""
        return self.made_at + BOTH_CALLBACK_SECRETS_SIGN if self.previous_version_id else None


class Agent(Model):
    """One agent of one user. `active_version` serves invocations whatever a deploy beside it does."""

    user_id: str
    agent_id: str
    slug: str
    name: str
    description: str | None = None
    source_type: SourceType = "local"
    git_repo_url: str | None = None
    git_branch: str | None = None
    source_hash: str | None = None
    bundle_key: str | None = None
    default_model: str | None = None
    max_turns: int | None = None
    timeout_seconds: int | None = None
    status: AgentStatus = "draft"
    status_message: str | None = None
    sandbox_id: str | None = None
    active_version: ActiveVersion | None = None
    warm: WarmChoice | None = None
    """How many unused sandboxes are kept ready; None leaves it to the platform's setting."""
    latest_version_number: int = 0
    latest_requested_at: datetime | None = None
    """When the latest deploy was asked for: one that was asked for earlier is superseded."""
    secret_names: dict[str, SecretTimes] = Field(default_factory=dict)
    """Each secret's name with its times; never its value."""
    secret_version_id: str | None = None
    secret_previous_version_id: str | None = None
    """Kept for whoever read the row just before it changed."""
    callback_url: str | None = None
    """Where the ends of its invocations are told, unless an invocation names another place."""
    callback_secret: CallbackSecret | None = None
    created_at: datetime
    updated_at: datetime


class Step(Model):
    """A step of a build that is over, and what it did, in words."""

    name: str
    seconds: float
    note: str


class Version(Model):
    """One immutable bundle made runnable, or what was tried to make it so."""

    agent_id: str
    version_id: str
    user_id: str
    slug: str
    number: int
    status: VersionStatus
    message: str | None = None
    bundle_key: str
    source_hash: str
    lockfile_hash: str | None = None
    manifest: JsonText = Field(default_factory=dict)
    snapshot_id: str | None = None
    dependencies_snapshot_id: str | None = None
    """The state after the install, from which builds with the same lockfile start."""
    size_bytes: int = 0
    build_milliseconds: int | None = None
    reused_dependencies: bool = False
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    request_id: str = ""
    """What asked for it: a second delivery of the same request makes no second version."""
    requested_at: datetime
    created_by: str | None = None
    """The id of the API key that asked for it; none where an S3 client put the bundle."""
    attempt: int = 1
    lease_expires_at: datetime | None = None
    """Until when its worker is believed to live; the worker goes on renewing it."""
    gave_up: bool = False
    """Failed for a reason of the platform's own: its message belongs in the dead letter queue."""
    deadline_at: datetime
    created_at: datetime


class Deletion(Model):
    """How far the removal of an agent got; there is none once nothing is left."""

    user_id: str
    agent_id: str
    slug: str
    requested_at: datetime
    done: tuple[DeletionStep, ...] = ()
    message: str | None = None
    """What interrupted it last."""

    @property
    def left(self) -> list[DeletionStep]:
        """What is still to be removed."""
        return [step for step in get_args(DeletionStep) if step not in self.done]


class LogEntry(Model):
    """One line or piece of a build's log; `offset` counts the entries of a version from 0."""

    version_id: str
    offset: int
    at: datetime
    kind: LogKind
    step: str
    text: str
    seconds: float | None = None
    """How long a step took that is over."""


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


class CapacityState(Model):
    """What counts against the limits of the sandbox service's plan."""

    version: int = 0
    """How many sandboxes were ever counted: it changes with each."""
    alive: int = 0
    recent: tuple[datetime, ...] = ()
    """When the latest were counted, the oldest first; as many as may be made in a second."""
    turn: int = 0
    """The turn of the line that was served last."""


class Waiting(Model):
    """An invocation in line for a sandbox; places are served in the order of their text."""

    place: str
    invocation_id: str
    user_id: str
    called_until: datetime | None = None
    """Until when a worker is busy calling it up."""


class Session(Model):
    """A sandbox that stays between invocations. Whoever is its `holder` may use, pause or end it."""

    agent_id: str
    session_id: str
    user_id: str
    slug: str
    version: ActiveVersion
    """Pinned when its sandbox is made: later deploys do not change it."""
    status: SessionStatus
    message: str | None = None
    """Why it ended."""
    sandbox_id: str | None = None
    holder: str | None = None
    """The id of the invocation that runs in it, or `pausing`; none while it is free."""
    held_until: datetime | None = None
    invocation_count: int = 0
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    """When it ends for lack of use; once it has ended, when it is forgotten."""


class SandboxAccess(Model):
    """All that one needs to enter a sandbox."""

    sandbox_id: str
    access_token: SecretStr
    envd_version: str
    domain: str | None = None


class SandboxSummary(Model):
    """A sandbox as a listing tells it."""

    sandbox_id: str
    metadata: dict[str, str]
    started_at: datetime
    ends_at: datetime
    is_paused: bool = False
    """Paused ones do not count against the plan's limit of sandboxes at once."""


class WarmSandbox(Model):
    """A sandbox made from a version and never used; whoever deletes its row owns it."""

    version_id: str
    sandbox_id: str
    agent_id: str
    sealed_access: str
    created_at: datetime
    expires_at: datetime


class User(Model):
    """Somebody with agents."""

    user_id: str
    email: str
    created_at: datetime


class ApiKey(Model):
    """A key of a user: its prefix and a hash, never the key. Limits are requests a minute."""

    prefix: str
    key_id: str
    user_id: str
    name: str
    secret_hash: str
    crud_per_minute: int
    invoke_per_minute: int
    created_at: datetime
    last_used_at: datetime | None = None


class DailyUsage(Model):
    """What a user's invocations of one day (UTC) came to."""

    date: dt.date
    invocation_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_dollars: int = 0


class PlatformSecrets(Model):
    """What the operator gives the platform once, read from its own secret."""

    e2b_api_key: SecretStr
    sealing_key: SecretStr
    """32 random bytes in base64: seals access tokens in warm rows."""
    anthropic_api_key: SecretStr | None = None
