"""A worker dies before or after any call to the outside; whatever is left ends in one result and no sandbox.

The calls are found by running once without a crash; then one run dies at each of them.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from castari.errors import CastariError
from castari.messages import StartInvocation
from castari.models import Agent, Invocation
from castari.services.invocation_states import is_terminal
from castari.services.requeues import QUEUE_SECONDS
from tests.mortal import SIDES, Died, Mortal
from tests.world import Worker, World


class Story:
    """One agent with one warm sandbox or none, one prompt, and everything that may happen to it."""

    def __init__(self, world: World, *, warm: bool, runner_lives: bool) -> None:
        self.world, self.warm, self.runner_lives = world, warm, runner_lives
        world.runner.stores = world.runner.prints = runner_lives
        self.agent: Agent

    async def begin(self) -> None:
        self.agent = self.world.agent()
        if self.warm:
            await self.world.worker().warm_up(self.agent)

    async def aftermath(self) -> list[Invocation]:
        """Let runners end, deliver everything twice, let time pass and sweep; return the rows."""
        await self._runners_end()
        await self._deliver()
        self.world.clock.pass_(seconds=self.world.limits.default_timeout_seconds + 45)
        self.world.sandboxes.let_time_pass()
        await self._sweep()
        used = [each for each in self.world.sandboxes.alive.values() if each.commands]
        assert not used, "a sandbox outlived its invocation"
        self.world.clock.pass_(seconds=QUEUE_SECONDS)
        await self._sweep()
        rows: list[Invocation] = self.world.worker().table.list_for_agent(
            self.agent.agent_id, limit=10, offset=0
        )
        return rows

    async def _runners_end(self) -> None:
        """What a runner does, it does without us."""
        worker = self.world.worker()
        for sandbox in list(self.world.sandboxes.alive.values()):
            for _, environment, _ in sandbox.commands:
                report = self.world.runner.report(environment)
                if self.runner_lives:
                    self.world.runner.store(report)
                    for _ in range(2):
                        worker.completions.complete(report["invocation_id"], report["attempt"])

    async def _deliver(self) -> None:
        for message, _ in list(self.world.maintenance.messages) * 2:
            await self.world.worker().removals.carry_out(message)  # type: ignore[arg-type]
        for message, _ in list(self.world.invocations.messages) * 2:
            assert isinstance(message, StartInvocation)
            await self.world.worker().starts.start(message.invocation_id)
        await self._runners_end()

    async def _sweep(self) -> None:
        worker = self.world.worker()
        for _ in range(2):
            await worker.sweep.sweep()


async def _call(worker: Worker, story: Story) -> None:
    await worker.call(story.agent)


async def _start(worker: Worker, story: Story) -> None:
    queued = worker.invocations.submit(story.agent, "later")
    await worker.starts.start(queued.invocation_id)


async def _complete(worker: Worker, story: Story) -> None:
    queued = story.world.worker().invocations.submit(story.agent, "later")
    await story.world.worker().starts.start(queued.invocation_id)
    (sandbox,) = (each for each in story.world.sandboxes.alive.values() if each.commands)
    story.world.runner.store(story.world.runner.report(sandbox.commands[0][1]))
    worker.completions.complete(queued.invocation_id, 1)


async def _sweep(worker: Worker, story: Story) -> None:
    queued = story.world.worker().invocations.submit(story.agent, "later")
    await story.world.worker().starts.start(queued.invocation_id)
    story.world.clock.pass_(seconds=story.world.limits.default_timeout_seconds + 30)
    await worker.sweep.sweep()


pytestmark = pytest.mark.usefixtures("empty_tables")

Deed = Callable[[Worker, Story], Awaitable[None]]
DEEDS: dict[str, Deed] = {"call": _call, "start": _start, "complete": _complete, "sweep": _sweep}


async def _survives(world: World, deed: Deed, mortal: Mortal, *, warm: bool, runner_lives: bool) -> None:
    story = Story(world, warm=warm, runner_lives=runner_lives)
    await story.begin()
    worker = world.worker(mortal.wrap)
    with suppress(Died, CastariError):
        await deed(worker, story)
    rows = await story.aftermath()
    assert len(rows) <= 1, mortal.calls
    assert all(is_terminal(row) for row in rows), (mortal.calls, rows)
    started = any(call == "sandboxes.start" for call in mortal.calls)
    assert rows or not started, mortal.calls
    ours = [
        each for each in world.sandboxes.alive.values() if each.metadata["agent_id"] == story.agent.agent_id
    ]
    assert not ours, (mortal.calls, ours)


@pytest.fixture(params=[True, False], ids=["warm", "cold"])
def warm(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[True, False], ids=["runner-lives", "runner-dies"])
def runner_lives(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("name", DEEDS)
async def test_a_worker_may_die_at_any_call(
    name: str, world: World, warm: bool, runner_lives: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    alive = Mortal()
    await _survives(world, DEEDS[name], alive, warm=warm, runner_lives=runner_lives)
    points = [(at, side) for at in range(len(alive.calls)) for side in SIDES]
    reached = set()
    for at, side in points:
        mortal = Mortal(at, side)
        await _survives(world, DEEDS[name], mortal, warm=warm, runner_lives=runner_lives)
        assert mortal.dead, f"point {at} of {alive.calls} was never reached"
        reached.add((mortal.calls[at], side))
    assert {call for call, _ in reached} == set(alive.calls)
    with capsys.disabled():
        print(f"\n  {name}: died at {len(points)} points: {', '.join(dict.fromkeys(alive.calls))}", end=" ")
