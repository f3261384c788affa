"""What happens to a platform by itself: time passes, queues and buckets tell things twice and late."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from castari.adapters.results import result_key
from castari.adapters.tables.invocations import InvocationsTable
from castari.bootstrap import tables
from castari.errors import CastariError
from castari.messages import DeliverCallback, ServeLine, StartInvocation
from castari.models import Agent, Invocation
from castari.services.attempts import DEADLINE_GRACE_SECONDS
from castari.services.invocation_states import is_terminal
from tests.fakes import FakeSandbox
from tests.worker import Worker
from tests.world import World

TICK = timedelta(seconds=30)
RUN = timedelta(seconds=70)
"""How long an agent takes: two rounds of sweep see it run."""
LATE = timedelta(seconds=60)
"""So long after its time a sandbox may be there; what is nobody's is seen by two rounds before it ends."""
_MOST_TICKS = 60

Event = Callable[[Worker], Awaitable[object]]


@dataclass
class Weather:
    """Goes on until nothing is under way; `check` is looked at all the time."""

    world: World
    agent: Agent
    runner_lives: bool
    random: Random
    events: list[Event] = field(default_factory=list)
    began: dict[int, datetime] = field(default_factory=dict)
    """When each run began to be seen, by the identity of its sandbox."""
    nobodys: dict[str, datetime] = field(default_factory=dict)
    ended: dict[str, Invocation] = field(default_factory=dict)
    open: list[Invocation] = field(default_factory=list)
    """What was open a tick ago: an index lags, and this one lags a lot."""
    told: int = 0
    """So many stored results were told of."""

    async def pass_(self) -> None:
        """Let things happen until nothing is left to."""
        sweeper = self.world.worker(self._lagging)
        for tick in range(_MOST_TICKS):
            await self._runners_end()
            self._collect()
            await self._deliver()
            self.check()
            if not self.events and not self._under_way():
                break
            self.world.clock.pass_(seconds=TICK.total_seconds())
            self.world.sandboxes.let_time_pass()
            if tick % 2:
                await sweeper.sweep.sweep()
            self.open = list(tables.invocations_table().open())
        else:
            raise AssertionError(f"still under way: {self.rows()}")
        self.world.clock.pass_(seconds=self.world.limits.warm_idle_seconds + 60)
        await sweeper.sweep.sweep()

    def _lagging(self, name: str, adapter: Any) -> Any:
        return LaggingInvocations(adapter, self) if name == "invocations" else adapter

    def rows(self) -> list[Invocation]:
        """Return the agent's invocations."""
        return tables.invocations_table().list_for_agent(self.agent.agent_id, limit=100, offset=0)

    def sandboxes(self) -> dict[str, FakeSandbox]:
        """Return the agent's sandboxes that are alive."""
        alive = self.world.sandboxes.alive.items()
        return {name: each for name, each in alive if each.metadata["agent_id"] == self.agent.agent_id}

    def _under_way(self) -> bool:
        offered = {warm.sandbox_id for warm in tables.warm_table().all()}
        return bool(self.sandboxes().keys() - offered) or not all(map(_is_told, self.rows()))

    async def _runners_end(self) -> None:
        """What a runner does, it does without us."""
        for sandbox in self.sandboxes().values():
            for _, environment, _ in sandbox.commands:
                began = self.began.setdefault(id(sandbox), self.world.clock())
                report = self.world.runner.report(environment)
                is_over = self.world.clock() - began >= RUN and report not in self.world.runner.stored
                if is_over and self.runner_lives:
                    self.world.runner.store(report)

    def _collect(self) -> None:
        """Take what was sent out of the queues and the bucket, which tell everything at least once."""
        for report in self.world.runner.stored[self.told :]:
            key = result_key(report["invocation_id"], report["attempt"])
            self._later(_stored(key))
        self.told = len(self.world.runner.stored)
        for queue in (self.world.maintenance, self.world.invocations, self.world.callbacks):
            messages, queue.messages = queue.messages, []
            for message, _ in messages:
                self._later(_delivery(message))

    def _later(self, event: Event) -> None:
        for _ in range(2):
            self.events.insert(self.random.randint(0, len(self.events)), event)

    async def _deliver(self) -> None:
        """Deliver some now and some later, in no order; what fails is delivered again."""
        events, self.events = self.events, []
        for event in events:
            if self.random.random() < 0.4:
                self.events.append(event)
                continue
            try:
                await event(self.world.worker())
            except CastariError:
                self.events.append(event)

    def check(self) -> None:
        """Hold what must hold at every moment."""
        now = self.world.clock()
        rows = {row.invocation_id: row for row in self.rows()}
        for row in rows.values():
            if is_terminal(row):
                result = row.model_copy(update={"callback": None, "deadline_at": row.created_at})
                assert self.ended.setdefault(row.invocation_id, result) == result, "a result changed"
        in_use = {row.sandbox_id for row in rows.values() if not is_terminal(row)}
        offered = {warm.sandbox_id for warm in tables.warm_table().all()}
        for name, sandbox in self.sandboxes().items():
            if name in in_use | offered:
                self.nobodys.pop(name, None)
            else:
                since = self.nobodys.setdefault(name, now)
                assert now - since <= 2 * LATE + TICK, f"{name} is nobody's since {since}: {sandbox}"
            self._check_time(sandbox, now)

    def _check_time(self, sandbox: FakeSandbox, now: datetime) -> None:
        began = self.began.get(id(sandbox))
        if sandbox.commands and began:
            limit = self.world.limits.default_timeout_seconds + DEADLINE_GRACE_SECONDS
            assert now - began <= timedelta(seconds=limit) + LATE + TICK, f"outlived its time: {sandbox}"

    def verdict(self, *, keeps_rows: bool = True) -> None:
        """Hold what must hold in the end."""
        rows = self.rows()
        assert all(map(is_terminal, rows)), rows
        assert not self.sandboxes()
        started = map(_invocation_of, self.world.sandboxes.started)
        runs = Counter(name for name in started if name)
        assert not [name for name, times in runs.items() if times > 1], f"ran twice: {runs}"
        stored = {report["invocation_id"] for report in self.world.runner.stored}
        for row in rows:
            if row.invocation_id in stored:
                assert row.status in {"completed", "cancelled"}, f"its result was lost: {row}"
        if keeps_rows:
            self._check_usage(rows)
        self._check_callbacks(rows)

    def _check_callbacks(self, rows: list[Invocation]) -> None:
        """Each end is told, and whoever is told twice is told the same under the same id."""
        bodies: dict[str, set[bytes]] = {}
        for _, body, headers in self.world.receivers.received:
            bodies.setdefault(headers["webhook-id"], set()).add(body)
        for row in rows:
            if row.callback:
                assert row.callback.status == "delivered", row
                (body,) = bodies[row.invocation_id]
                assert json.loads(body)["type"] == f"invocation.{row.status}"

    def _check_usage(self, rows: list[Invocation]) -> None:
        """Each result is counted once: whoever counts is the one who made it."""
        days = {(row.finished_at or row.created_at).date() for row in rows}
        table = tables.usage_table()
        counted = table.list(self.agent.user_id, min(days), max(days)) if days else []
        assert sum(day.invocation_count for day in counted) == len(rows), "not counted once each"


class LaggingInvocations:
    """The invocations table, whose index of open rows is a tick behind."""

    def __init__(self, table: InvocationsTable, weather: Weather) -> None:
        self._table, self._weather = table, weather

    def open(self) -> Iterator[Invocation]:
        return iter(self._weather.open)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def _is_told(row: Invocation) -> bool:
    return is_terminal(row) and (row.callback is None or row.callback.status in {"delivered", "failed"})


def _callback(message: DeliverCallback) -> Event:
    async def deliver(worker: Worker) -> str:
        done = await worker.deliveries.deliver(message.invocation_id)
        if done.again_seconds is not None:
            raise CastariError(done.result)
        return done.result

    return deliver


def _delivery(message: Any) -> Event:
    if isinstance(message, DeliverCallback):
        return _callback(message)
    if isinstance(message, StartInvocation | ServeLine):
        return lambda worker: worker.starts.carry_out(message)
    return lambda worker: worker.removals.carry_out(message)


def _stored(key: str) -> Event:
    async def complete(worker: Worker) -> str:
        return worker.completions.complete_key(key)

    return complete


def _invocation_of(environment: dict[str, str]) -> str | None:
    name: str | None = json.loads(environment["CASTARI_JOB"]).get("invocation_id")
    return name
