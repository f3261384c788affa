"""While the count is corrected, others make and end sandboxes: the plan's limit holds, whoever comes when.

One worker is stopped before each of its calls to the outside, and all the others act before it goes on.
"""

from collections.abc import Awaitable, Callable

import pytest

from castari.messages import ServeLine, StartInvocation
from castari.models import Agent
from tests.functional.conftest import empty
from tests.mortal import Mortal, Slow, in_a_thread
from tests.simulation import PlannedSandboxes
from tests.worker import Worker
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")
_MOST = 2
Deed = Callable[[Worker], Awaitable[object]]


class House:
    """An agent under a plan of two sandboxes at once, of which one runs."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.sandboxes = self.service = PlannedSandboxes(
            world.clock, world.runner, creates_per_second=1_000, sandboxes_at_once=_MOST
        )
        world.runner.stores = world.runner.prints = False
        world.sandboxes_at_once, world.pause = _MOST, world.clock.sleep
        self.agent: Agent = world.agent(warm=0)
        self.running: list[str] = []

    async def begin(self) -> None:
        await self.start(self.world.worker())
        self.running = list(self.service.alive)

    async def start(self, worker: Worker) -> str:
        return await worker.starts.start(worker.invocations.submit(self.agent, "hi").invocation_id)

    async def sweep(self, worker: Worker) -> None:
        await worker.sweep.sweep()

    async def end_one(self, worker: Worker) -> None:
        """Kill the one that ran when it began."""
        for sandbox_id in self.running:
            await worker.sandboxes.kill(sandbox_id)

    async def crowd(self) -> None:
        """Have more come than the plan allows, and deliver what is sent to them."""
        for _ in range(_MOST + 1):
            await self.start(self.world.worker())
        messages, self.world.invocations.messages = self.world.invocations.messages, []
        for message, _ in messages:
            if isinstance(message, StartInvocation | ServeLine):
                await self.world.worker().starts.carry_out(message)

    async def meanwhile(self, others: list[Deed]) -> None:
        for deed in others:
            await deed(self.world.worker())
        await self.crowd()

    def check(self, about: object) -> None:
        assert self.service.refused == 0, f"the plan was exceeded: {about}"

    async def check_in_time(self, about: object) -> None:
        """Whatever was counted wrongly is mended within four minutes."""
        for _ in range(4):
            self.world.clock.pass_(seconds=60)
            self.service.let_time_pass()
            await self.world.worker().sweep.sweep()
        assert self.world.worker().capacity.now().alive == len(self.service.alive), about


async def _survives(world: World, stack: dict[str, str], slow: Mortal, deed: str, others: list[str]) -> None:
    empty(stack)
    world.invocations.messages.clear()
    house = House(world)
    await house.begin()
    about = f"{deed}, before {slow.at} {others}"
    if isinstance(slow, Slow):
        deeds = [getattr(house, each) for each in others]
        slow.meanwhile = lambda: in_a_thread(lambda: house.meanwhile(deeds))
    await getattr(house, deed)(world.worker(slow.wrap))
    await house.crowd()
    house.check(about)
    await house.check_in_time(about)


@pytest.mark.parametrize("deed", ["start", "sweep", "end_one"])
@pytest.mark.parametrize("others", [["sweep"], ["end_one"], ["end_one", "sweep"]], ids=" ".join)
async def test_the_limit_holds_wherever_a_worker_is_when_others_act(
    world: World, stack: dict[str, str], deed: str, others: list[str]
) -> None:
    alive = Mortal()
    await _survives(world, stack, alive, deed, [])
    for point in alive.points:
        slow = Slow(point, lambda: None)
        await _survives(world, stack, slow, deed, others)
        assert slow.at is None, f"{point} was never reached"
