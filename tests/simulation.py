"""Hours at the queues in simulated time: messages, runs and a sandbox service that keeps to its limits."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from castari.errors import VendorRateLimited
from castari.messages import MAINTENANCE, WORK, Message
from castari.models import Agent, Invocation, SandboxAccess
from tests.fakes import FakeSandboxes
from tests.world import FakeQueue, World

_SECOND = timedelta(seconds=1)


@dataclass
class PlannedSandboxes(FakeSandboxes):
    """A sandbox service with a plan, as strict as can be: in no second, wherever it begins, it makes more."""

    creates_per_second: int = 5
    sandboxes_at_once: int = 20
    made: list[datetime] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    refused: int = 0
    most_at_once: int = 0
    began: Callable[[str], None] = lambda _sandbox_id: None

    async def create(self, template: str, **arguments: Any) -> SandboxAccess:
        now = self.clock()
        recent = [at for at in self.made[-self.creates_per_second :] if now - at < _SECOND]
        if len(recent) >= self.creates_per_second or len(self.alive) >= self.sandboxes_at_once:
            self.refused += 1
            raise VendorRateLimited("the plan allows no more")
        access = await super().create(template, **arguments)
        self.made.append(now)
        self.kinds.append(arguments["metadata"]["kind"])
        self.most_at_once = max(self.most_at_once, len(self.alive))
        return access

    async def start(self, access: SandboxAccess, command: str, **arguments: Any) -> Any:
        started = await super().start(access, command, **arguments)
        self.began(access.sandbox_id)
        return started


class Simulation:
    """Delivers what is sent when it is due; time stands still while anybody works."""

    def __init__(
        self,
        world: World,
        sandboxes: PlannedSandboxes,
        run_seconds: Callable[[], float],
        *,
        workers: int = 20,
    ) -> None:
        world.sandboxes, world.pause = sandboxes, self._pause
        sandboxes.began = self._run_begins
        self.world, self.sandboxes, self._run_seconds = world, sandboxes, run_seconds
        self.finished: list[tuple[datetime, Invocation]] = []
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number, self._busy, self._free = count(), 0, workers
        self._waiting: list[Message] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker = world.worker()

    def submit(self, agent: Agent, prompts: int) -> None:
        """Queue prompts of an agent."""
        for number in range(prompts):
            self._worker.invocations.submit(agent, str(number))

    async def refill(self, agent: Agent) -> None:
        """Fill an agent's pool."""
        await self._worker.pool.refill(agent.user_id, agent.slug)

    def warm_of(self, agent: Agent) -> list[str]:
        """Return the sandboxes of an agent that wait to be used."""
        return [each.sandbox_id for each in self._worker.warm.all() if each.agent_id == agent.agent_id]

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen later."""
        at = self.world.clock.now + timedelta(seconds=seconds)
        heapq.heappush(self._events, (at, next(self._number), event))

    async def run_until(self, done: Callable[[], bool], *, most_seconds: float) -> float:
        """Let time pass until it is done; return the simulated seconds. Raises `TimeoutError`."""
        began = self.world.clock.now
        await self._settle()
        while not done():
            if not self._events or self._events[0][0] - began > timedelta(seconds=most_seconds):
                raise TimeoutError(f"{len(self.finished)} finished, {len(self._events)} events are to come")
            at, _, event = heapq.heappop(self._events)
            self.world.clock.now = max(self.world.clock.now, at)
            event()
            await self._settle()
        return (self.world.clock.now - began).total_seconds()

    def sweep_every_minute(self) -> None:
        """Do a round each minute from now on."""

        def round_begins() -> None:
            self._work(self._sweep())
            self.sweep_every_minute()

        self.after(60, round_begins)

    async def _sweep(self) -> None:
        await self._worker.sweep.sweep()

    def _run_begins(self, sandbox_id: str) -> None:
        _, environment, _ = self.world.sandboxes.alive[sandbox_id].commands[-1]
        self.after(self._run_seconds(), lambda: self._run_ends(self.world.runner.report(environment)))

    def _run_ends(self, report: dict[str, Any]) -> None:
        """The runner stores its result, whoever lives, and the bucket's event comes."""
        self.world.runner.store(report)
        result = self._worker.completions.complete(report["invocation_id"], report["attempt"])
        assert result == "completed", result
        self.finished.append((self.world.clock.now, self._worker.table.get(report["invocation_id"])))

    async def _settle(self) -> None:
        """Hand out messages until everybody waits for time to pass."""
        while True:
            self._collect(self.world.invocations, self._waiting.append)
            self._collect(self.world.maintenance, lambda message: self._work(self._maintain(message)))
            while self._free and self._waiting:
                self._free -= 1
                self._work(self._start(self._waiting.pop(0)))
            if not self._busy:
                return
            await asyncio.sleep(0)
            for task in [task for task in self._tasks if task.done()]:
                self._tasks.remove(task)
                task.result()

    def _collect(self, queue: FakeQueue, arrives: Callable[[Message], None]) -> None:
        messages, queue.messages = queue.messages, []
        for message, delay in messages:
            if delay:
                self.after(delay, lambda message=message: arrives(message))  # type: ignore[misc]
            else:
                arrives(message)

    async def _start(self, message: Message) -> None:
        try:
            await self._worker.starts.carry_out(WORK.validate_json(message.model_dump_json()))
        finally:
            self._free += 1

    async def _maintain(self, message: Message) -> None:
        await self._worker.removals.carry_out(MAINTENANCE.validate_json(message.model_dump_json()))

    def _work(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy += 1

        async def carried_out() -> None:
            try:
                await work
            finally:
                self._busy -= 1

        self._tasks.add(asyncio.ensure_future(carried_out()))

    async def _pause(self, seconds: float) -> None:
        over = asyncio.get_running_loop().create_future()

        def resume() -> None:
            self._busy += 1
            over.set_result(None)

        self.after(seconds, resume)
        self._busy -= 1
        await over
