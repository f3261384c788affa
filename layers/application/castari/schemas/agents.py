"""Agents, as clients create, change and see them."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from castari.models import Agent, AgentStatus, SourceType, WarmChoice
from castari.schemas.callbacks import CallbackUrl
from castari.schemas.fields import Line, Name, Slug, Text, TimeoutSeconds
from castari.schemas.shapes import Request, Response

_NOT_IN_A_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")


def _not_null(value: str | None) -> str:
    if value is None:
        raise PydanticCustomError("null", "cannot be empty: leave it out to keep it")
    return value


def _https(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError as error:
        raise PydanticCustomError("url", "is no URL") from error
    if parts.scheme != "https" or not parts.hostname or _NOT_IN_A_URL.search(url):
        raise PydanticCustomError("https_only", "must be a URL that begins with https://")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise PydanticCustomError(
            "plain_url", "must hold no credentials, query or fragment: a token goes into the secret GIT_TOKEN"
        )
    return url


GitUrl = Annotated[Line, Field(max_length=2048), AfterValidator(_https)]
GitBranch = Annotated[Line, Field(max_length=255)]
ModelName = Annotated[Line, Field(max_length=100)]
Warm = Annotated[int, Field(ge=0, le=20)] | Literal["auto"]
Turns = Annotated[int, Field(ge=1, le=1000)]


class AgentCreate(Request):
    """A new agent. Without a slug, one is made from the name."""

    name: Name
    slug: Slug | None = None
    description: Text | None = None
    source_type: SourceType = "local"
    git_repo_url: GitUrl | None = None
    git_branch: GitBranch | None = None
    default_model: ModelName | None = None
    max_turns: Turns | None = None
    timeout_seconds: TimeoutSeconds | None = None
    callback_url: CallbackUrl | None = None
    """Where the end of each invocation is told that names no other place."""
    warm: Warm | None = None
    """Unused sandboxes that are kept ready: a number, "auto", or null for the platform's default."""


class AgentUpdate(Request):
    """What changes of an agent: only what is sent; null empties a field that can be empty."""

    name: Annotated[Name | None, AfterValidator(_not_null)] = None
    description: Text | None = None
    git_repo_url: GitUrl | None = None
    git_branch: GitBranch | None = None
    default_model: ModelName | None = None
    max_turns: Turns | None = None
    timeout_seconds: TimeoutSeconds | None = None
    callback_url: CallbackUrl | None = None
    warm: Warm | None = None


class AgentResponse(Response):
    """One agent."""

    id: str
    user_id: str
    name: str
    slug: str
    description: str | None
    source_type: SourceType
    git_repo_url: str | None
    git_branch: str | None
    source_hash: str | None
    default_model: str | None
    max_turns: int | None
    timeout_seconds: int | None
    warm: WarmChoice | None
    callback_url: str | None
    status: AgentStatus
    status_message: str | None
    sandbox_id: str | None
    active_version: int | None
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @classmethod
    def of_agent(cls, agent: Agent) -> Self:
        """Return the public shape of an agent."""
        number = agent.active_version.number if agent.active_version else None
        return cls.of(agent, id=agent.agent_id, active_version=number)
