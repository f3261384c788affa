"""What travels on the queues: ids only, never a prompt, a secret or an answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Message(BaseModel):
    """A frozen message; whoever reads it may see it twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentKey(Message):
    """Names one agent's row."""

    user_id: str
    slug: str


class StartInvocation(Message):
    """INVOCATION queue: start this queued invocation."""

    kind: Literal["start_invocation"] = "start_invocation"
    invocation_id: str
    counted: bool = False
    """Whether a sandbox is counted for it already: it was called up from the line."""
    call_id: str | None = None
    """Of that call, which is good for one sandbox however often the message comes."""


class ServeLine(Message):
    """INVOCATION queue: call up whoever waits in line and can have a sandbox."""

    kind: Literal["serve_line"] = "serve_line"


Work = StartInvocation | ServeLine
WORK: TypeAdapter[Work] = TypeAdapter(Work)
"""Reads the body of an INVOCATION message."""


class DeployBundle(Message):
    """DEPLOY queue: make this bundle runnable. S3's own events travel on the same queue.

    `request_id` and `requested_at` are the same in every delivery: they name the version that it makes.
    """

    agent: AgentKey
    bundle_key: str
    request_id: str
    requested_at: datetime
    requested_by: str | None = None
    """The id of the API key that asks; without one, the bundle itself may say it."""
    attempt: int = 1


class DeliverCallback(Message):
    """CALLBACK queue: tell whoever wants to know that this invocation is over."""

    kind: Literal["deliver_callback"] = "deliver_callback"
    invocation_id: str


class DestroySandbox(Message):
    """MAINTENANCE queue: kill one sandbox; where an invocation is named, only if that attempt is over."""

    kind: Literal["destroy_sandbox"] = "destroy_sandbox"
    sandbox_id: str
    invocation_id: str | None = None
    attempt: int = 0


class ReplaceSandbox(Message):
    """MAINTENANCE queue: kill a warm sandbox that was used as soon as its attempt is over, and make another.

    Sent beside the write that ends the attempt, so it may arrive before that.
    """

    kind: Literal["replace_sandbox"] = "replace_sandbox"
    user_id: str
    slug: str
    sandbox_id: str
    invocation_id: str
    attempt: int


class Refill(Message):
    """MAINTENANCE queue: bring an agent's warm sandboxes up to their number."""

    kind: Literal["refill"] = "refill"
    user_id: str
    slug: str


class GiveWay(Message):
    """MAINTENANCE queue: invocations wait for a sandbox to end: end an unused one."""

    kind: Literal["give_way"] = "give_way"


class PauseSession(Message):
    """MAINTENANCE queue, delayed: pause a session's sandbox if nobody used it since."""

    kind: Literal["pause_session"] = "pause_session"
    agent_id: str
    session_id: str


class EndSession(Message):
    """MAINTENANCE queue: the owner deleted a session: end what runs in it, and its sandbox."""

    kind: Literal["end_session"] = "end_session"
    agent_id: str
    session_id: str
    created_at: datetime
    """Tells the session from a later one of the same id."""


class StopAgent(Message):
    """MAINTENANCE queue: destroy every sandbox of an agent that was stopped."""

    kind: Literal["stop_agent"] = "stop_agent"
    user_id: str
    slug: str
    agent_id: str


class DeleteAgent(Message):
    """MAINTENANCE queue: remove an agent and all it has.

    Bundles are kept by slug, which may be another agent's by now: only those stored before `requested_at` go.
    """

    kind: Literal["delete_agent"] = "delete_agent"
    user_id: str
    slug: str
    agent_id: str
    requested_at: datetime


class CheckDeploy(Message):
    """MAINTENANCE queue: sent when a deploy begins, seen after its lease: does its worker live."""

    kind: Literal["check_deploy"] = "check_deploy"
    agent_id: str
    request: DeployBundle


class TidyAgent(Message):
    """MAINTENANCE queue: another version serves now, so what only former ones needed goes."""

    kind: Literal["tidy_agent"] = "tidy_agent"
    user_id: str
    slug: str
    agent_id: str


Maintenance = (
    DestroySandbox
    | ReplaceSandbox
    | Refill
    | GiveWay
    | PauseSession
    | EndSession
    | StopAgent
    | DeleteAgent
    | CheckDeploy
    | TidyAgent
)
MAINTENANCE: TypeAdapter[Maintenance] = TypeAdapter(Annotated[Maintenance, Field(discriminator="kind")])
"""Reads the body of a MAINTENANCE message."""
