"""A sandbox service with limits, in simulated time: each is served, in turn, as fast as the limits let."""

import os
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from castari.bootstrap import clients
from castari.messages import StartInvocation
from castari.models import Agent
from tests.simulation import PlannedSandboxes, Simulation
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")
MORE = int(os.environ.get("CASTARI_TIMES_AS_MANY", "1"))
"""`make drain` runs ten times as many."""


def _simulation(
    world: World, run_seconds: tuple[float, float], *, creates_per_second: int, sandboxes_at_once: int
) -> Simulation:
    sandboxes = PlannedSandboxes(
        world.clock,
        world.runner,
        creates_per_second=creates_per_second,
        sandboxes_at_once=sandboxes_at_once,
    )
    world.creates_per_second, world.sandboxes_at_once = creates_per_second, sandboxes_at_once
    chance = random.Random(5)  # noqa: S311 - the same runs each time
    return Simulation(world, sandboxes, lambda: chance.uniform(*run_seconds))


def _agents(simulation: Simulation, **warm: int) -> list[Agent]:
    return [simulation.world.agent(slug=name, warm=number) for name, number in warm.items()]


@pytest.mark.parametrize(
    ("runs", "run_seconds"),
    [(100 * MORE, (0.5, 1.5)), (200 * MORE, (7, 9))],
    ids=["bound by creations", "bound by sandboxes at once"],
)
async def test_runs_drain_as_fast_as_five_creations_a_second_and_twenty_at_once_let(
    world: World, runs: int, run_seconds: tuple[float, float], tell: Callable[[str], None]
) -> None:
    simulation = _simulation(world, run_seconds, creates_per_second=5, sandboxes_at_once=20)
    agents = _agents(simulation, one=0, two=0)
    for agent in agents:
        simulation.submit(agent, runs // len(agents))
    mean = sum(run_seconds) / 2
    bound = max(runs / 5, runs * mean / 20)

    seconds = await simulation.run_until(lambda: len(simulation.finished) == runs, most_seconds=2 * bound)

    tell(f"{runs} runs of {mean} s in {seconds:.1f} s: {seconds / bound:.3f} of the bound")
    finished = [invocation for _, invocation in simulation.finished]
    assert {invocation.status for invocation in finished} == {"completed"}
    assert len({invocation.invocation_id for invocation in finished}) == runs
    assert {invocation.attempt for invocation in finished} == {1}, "the service refused what we counted"
    assert simulation.sandboxes.refused == 0
    assert seconds <= 1.1 * bound


async def test_users_with_ten_to_one_demand_get_equal_shares_while_both_wait(
    world: World, tell: Callable[[str], None]
) -> None:
    simulation = _simulation(world, (1, 3), creates_per_second=5, sandboxes_at_once=6)
    busy, quiet = _agents(simulation, busy=0, quiet=0)
    simulation.submit(busy, 200 * MORE)
    await simulation.run_until(lambda: len(simulation.finished) == 2, most_seconds=20)
    simulation.submit(quiet, 20 * MORE)
    first = len(simulation.finished)

    def quiet_is_done() -> bool:
        served = [invocation.user_id for _, invocation in simulation.finished]
        return served.count(quiet.user_id) == 20 * MORE

    await simulation.run_until(quiet_is_done, most_seconds=600)

    shares = Counter(invocation.user_id for _, invocation in simulation.finished[first:])
    index = jain(shares[busy.user_id], shares[quiet.user_id])
    tell(f"busy {shares[busy.user_id]}, quiet {shares[quiet.user_id]} runs: Jain {index:.3f}")
    assert index >= 0.95


async def test_warm_sandboxes_are_made_again_once_nobody_waits_and_give_way_while_somebody_does(
    world: World,
) -> None:
    simulation = _simulation(world, (4, 6), creates_per_second=5, sandboxes_at_once=4)
    idle, busy = _agents(simulation, idle=2, busy=1)
    await simulation.refill(idle)
    assert simulation.sandboxes.kinds == ["warm", "warm"]

    simulation.submit(busy, 12)
    await simulation.run_until(lambda: len(simulation.finished) == 4, most_seconds=60)
    assert simulation.sandboxes.kinds == ["warm", "warm", *["run"] * (len(simulation.sandboxes.kinds) - 2)]
    assert not simulation.warm_of(idle), "unused sandboxes stood in the way of who waits"

    await simulation.run_until(lambda: len(simulation.warm_of(busy)) == 1, most_seconds=120)
    assert len(simulation.finished) >= 12 - 4
    assert simulation.sandboxes.refused == 0


async def test_what_is_lost_of_the_count_and_the_line_is_mended_by_the_sweep(world: World) -> None:
    simulation = _simulation(world, (1, 2), creates_per_second=5, sandboxes_at_once=4)
    (agent,) = _agents(simulation, one=0)
    for _ in range(4):
        world.worker().capacity.take("build")  # and the workers die
    simulation.submit(agent, 10)
    simulation.sweep_every_minute()
    await simulation.run_until(lambda: len(simulation.finished) == 10, most_seconds=200)
    assert simulation.sandboxes.refused == 0
    assert world.worker().capacity.now().alive == len(world.sandboxes.alive)


@pytest.mark.parametrize("deliveries", [2, 3])
async def test_a_call_that_is_delivered_again_gives_its_sandbox_back_once(
    world: World, deliveries: int
) -> None:
    world.sandboxes_at_once = 2
    worker, agent = world.worker(), world.agent(warm=0)
    build, _ = (worker.capacity.take("build") for _ in range(2))
    waiting = worker.invocations.submit(agent, "x")
    await worker.starts.start(waiting.invocation_id)
    worker.capacity.give_back(build)
    world.invocations.messages.clear()
    assert await worker.line.serve() == 1
    ((call, _),) = world.invocations.messages
    assert isinstance(call, StartInvocation)
    before = worker.capacity.now().alive

    worker.cancels.cancel(agent, waiting.invocation_id)
    for _ in range(deliveries):
        await world.worker().starts.carry_out(call)
    assert worker.capacity.now().alive == before - 1


async def test_a_call_that_is_delivered_again_starts_one_sandbox_and_counts_it(world: World) -> None:
    world.sandboxes_at_once = 2
    worker, agent = world.worker(), world.agent(warm=0)
    build, _ = (worker.capacity.take("build") for _ in range(2))
    await worker.starts.start(worker.invocations.submit(agent, "x").invocation_id)
    worker.capacity.give_back(build)
    world.invocations.messages.clear()
    await worker.line.serve()
    ((call, _),) = world.invocations.messages
    assert isinstance(call, StartInvocation)
    told = [await world.worker().starts.carry_out(call) for _ in range(2)]
    assert told == ["started on a new sandbox", "claimed already"]
    # One stands for a build of which nothing is left, the other is alive.
    assert (worker.capacity.now().alive, len(world.sandboxes.alive)) == (2, 1)


def jain(*shares: float) -> float:
    """Return how equal shares are: 1 where they are, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


async def _requests_of(world: World, runs: int) -> int:
    """Return how many requests to DynamoDB so many runs take where one sandbox is allowed at once."""
    simulation = _simulation(world, (1, 1), creates_per_second=5, sandboxes_at_once=1)
    (agent,) = _agents(simulation, one=0)
    counted: list[object] = []
    events = clients.dynamodb().meta.events
    events.register(
        "before-call.dynamodb", lambda **call: counted.append(call["model"].name), unique_id="count"
    )
    try:
        simulation.submit(agent, runs)
        await simulation.run_until(lambda: len(simulation.finished) == runs, most_seconds=60)
    finally:
        events.unregister("before-call.dynamodb", unique_id="count")
    return len(counted)


async def test_waiting_in_line_costs_as_many_requests_as_the_decision_says(
    world: World, tell: Callable[[str], None]
) -> None:
    page = Path(__file__).parents[2] / "docs/decisions/0007-users-take-turns.md"
    (said,) = re.findall(r"waits takes (\d+) requests", page.read_text())
    alone, with_one_that_waits = await _requests_of(world, 1), await _requests_of(world, 2)
    more = with_one_that_waits - 2 * alone
    tell(f"{alone} requests to DynamoDB for a run, {more} more for one that waits")
    assert more == int(said)
