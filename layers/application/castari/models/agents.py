"""Agents as the platform keeps them, and how far the removal of one got."""

import datetime as dt
from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from castari.models.records import Model

AgentStatus = Literal["draft", "deploying", "active", "stopped", "error"]
SourceType = Literal["git", "local"]
DeletionStep = Literal["sandboxes", "secrets", "bundles", "invocations", "versions"]
GIT_SECRETS = frozenset({"GIT_TOKEN", "GIT_USERNAME", "GIT_CA_CERTIFICATE"})
"""Secrets of an agent from git that are for the clone alone: no invocation gets them."""
BOTH_CALLBACK_SECRETS_SIGN = dt.timedelta(hours=24)
"""So long receivers have to take over another callback secret."""
WarmChoice = int | Literal["auto"]
"""A number of warm sandboxes, or as many as the recent rate of invocations asks for."""
SecretTimes = tuple[datetime, datetime]
"""When a secret was created, and when it was last updated."""


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
