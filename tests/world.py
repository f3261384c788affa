"""The control plane over a local AWS, a fake sandbox service and a clock that is set; workers may crash."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from castari.bootstrap import tables
from castari.errors import CastariError
from castari.ids import new_id
from castari.messages import AgentKey, DeployBundle, Message
from castari.models import ActiveVersion, Agent
from castari.settings import Limits
from tests.fakes import FakeCallbackSender, FakeSandboxes, ScriptedRunner, SetClock
from tests.worker import Worker, Wrap


@dataclass
class FakeQueue:
    """A queue that keeps what was sent."""

    messages: list[tuple[Message, int]] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)
    failures: list[CastariError] = field(default_factory=list)

    most_at_once = 10

    def send_many(self, messages: Sequence[Message], *, group: str | None = None) -> int:
        if self.failures:
            self.failures.pop(0)
            return len(messages)
        assert len(messages) <= self.most_at_once
        self.messages += [(message, 0) for message in messages]
        self.groups += [group] * len(messages)
        return 0

    def send(self, message: Message, *, delay_seconds: int = 0, group: str | None = None) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.messages.append((message, delay_seconds))
        self.groups.append(group)


def unwrapped(_name: str, adapter: Any) -> Any:
    """Leave an adapter as it is."""
    return adapter


@dataclass
class World:
    """What outlives any worker, and the making of workers."""

    clock: SetClock
    runner: ScriptedRunner
    sandboxes: FakeSandboxes
    limits: Limits = field(default_factory=Limits)
    warm_size: int = 1
    maintenance: FakeQueue = field(default_factory=FakeQueue)
    invocations: FakeQueue = field(default_factory=FakeQueue)
    deploys: FakeQueue = field(default_factory=FakeQueue)
    callbacks: FakeQueue = field(default_factory=FakeQueue)
    receivers: FakeCallbackSender = field(default_factory=FakeCallbackSender)
    versions_kept: int = 10
    creates_per_second: int = 0
    sandboxes_at_once: int = 0
    soon_seconds: float = 60
    """Agents end within it, and a warm sandbox's end is asked for with its successor; 0: later than that."""
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    unforeseen: list[tuple[str, Exception]] = field(default_factory=list)
    """What sweep told of rows that broke it."""

    def worker(self, wrap: Wrap = unwrapped) -> "Worker":
        """Return a worker whose every adapter went through `wrap`."""
        return Worker(self, wrap)

    def request(self, agent: Agent, bundle_key: str, **fields: Any) -> DeployBundle:
        """Return the wish to deploy a bundle, a second after the one before."""
        self.clock.pass_(seconds=1)
        return DeployBundle(
            agent=AgentKey(user_id=agent.user_id, slug=agent.slug),
            bundle_key=bundle_key,
            request_id=unique(),
            requested_at=self.clock(),
        ).model_copy(update=fields)

    def agent(self, *, snapshot: str = "snapshot-of-the-agent", **fields: Any) -> Agent:
        """Make an active agent."""
        self.sandboxes.snapshots.setdefault(snapshot, "castari-base")
        now = self.clock()
        agent = Agent(
            user_id=new_id("user"),
            agent_id=new_id("agent"),
            slug="hello",
            name="Hello",
            status="active",
            active_version=ActiveVersion(version_id=new_id("ver"), number=1, snapshot_id=snapshot),
            latest_version_number=1,
            created_at=now,
            updated_at=now,
        ).model_copy(update=fields)
        tables.agents_table().create(agent)
        return agent


def unique() -> str:
    """Return a name of the test's own."""
    return uuid4().hex[:12]
