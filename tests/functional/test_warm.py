"""Warm sandboxes: as many as an agent wants, renewed while it is in use, gone when it is not."""

from typing import Literal

import pytest

from castari.errors import VendorRateLimited
from castari.messages import Refill, StartInvocation
from castari.models import Agent
from tests.functional.conftest import Account
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


def _waiting(world: World, agent: Agent) -> list[str]:
    return [each.sandbox_id for each in world.worker().warm.all() if each.agent_id == agent.agent_id]


async def _refill(world: World, agent: Agent) -> int:
    return await world.worker().pool.refill(agent.user_id, agent.slug)


@pytest.mark.parametrize(("warm", "made"), [(None, 1), (0, 0), (3, 3), ("auto", 1)])
async def test_an_agent_has_as_many_as_it_wants(
    world: World, warm: int | Literal["auto"] | None, made: int
) -> None:
    agent = world.agent(warm=warm)
    assert await _refill(world, agent) == made
    assert len(_waiting(world, agent)) == made


@pytest.mark.parametrize(("at_once", "wanted"), [(1, 1), (4, 4), (13, 10)])
async def test_auto_follows_the_busiest_moment_up_to_a_maximum_and_forgets_it(
    world: World, at_once: int, wanted: int
) -> None:
    agent, worker = world.agent(warm="auto"), world.worker()
    worker.invocations.submit(agent, "before")
    world.clock.pass_(seconds=20)
    for _ in range(at_once):
        worker.invocations.submit(agent, "now")
    assert worker.pool.wanted(agent) == wanted
    world.clock.pass_(seconds=301)
    assert worker.pool.wanted(agent) == 1


async def test_what_is_too_many_after_a_change_is_ended(world: World) -> None:
    agent = world.agent(warm=3)
    await _refill(world, agent)
    world.worker().agents.update(agent, {"warm": 1})
    await _refill(world, agent)
    assert len(_waiting(world, agent)) == len(world.sandboxes.alive) == 1


async def test_those_of_an_agent_in_use_are_renewed_before_they_end_and_can_be_taken(world: World) -> None:
    agent = world.agent()
    await _refill(world, agent)
    (sandbox_id,) = _waiting(world, agent)
    world.clock.pass_(seconds=world.limits.warm_idle_seconds - 60)
    queued = world.worker().invocations.submit(agent, "in use")
    assert await world.worker().pool.renew() == (1, 0)
    world.clock.pass_(seconds=120)
    world.sandboxes.let_time_pass()
    assert _waiting(world, agent) == [sandbox_id]
    await world.worker().starts.start(queued.invocation_id)
    assert world.worker().table.get(queued.invocation_id).sandbox_id == sandbox_id


async def test_those_of_an_agent_that_nobody_invokes_are_ended(world: World) -> None:
    agent = world.agent()
    await _refill(world, agent)
    world.clock.pass_(seconds=world.limits.warm_idle_seconds + 1)
    assert await world.worker().pool.renew() == (0, 1)
    assert not world.sandboxes.alive


async def test_one_that_would_grow_too_old_for_the_plan_is_replaced(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await _refill(world, agent)
    (first,) = _waiting(world, agent)
    began, replaced = world.clock(), False
    while not replaced:
        world.clock.pass_(seconds=60)
        worker.invocations.submit(agent, "in use")
        replaced = (await worker.pool.renew())[1] == 1
        world.sandboxes.let_time_pass()
    age = (world.clock() - began).total_seconds()
    assert age + world.limits.max_timeout_seconds < world.limits.sandbox_longest_seconds
    assert age > world.limits.sandbox_longest_seconds / 2
    assert first not in world.sandboxes.alive
    assert (Refill(user_id=agent.user_id, slug=agent.slug), 0) in world.maintenance.messages


async def test_a_call_that_the_plan_has_no_room_for_waits_in_line_and_says_so(world: World) -> None:
    world.sandboxes_at_once = 1
    worker = world.worker()
    build = worker.capacity.take("build")
    invocation = await worker.call(world.agent())
    assert (invocation.status, invocation.attempt) == ("queued", 0)
    worker.capacity.give_back(build)
    await worker.line.serve()
    ready, _ = world.invocations.messages[-1]
    assert isinstance(ready, StartInvocation)
    assert (ready.invocation_id, ready.counted) == (invocation.invocation_id, True)
    assert await world.worker().starts.carry_out(ready) == "started on a new sandbox"


async def test_a_call_that_the_service_refuses_for_its_limits_is_queued_not_failed(world: World) -> None:
    world.sandboxes.failures["create"] = [VendorRateLimited("too many")]
    invocation = await world.worker().call(world.agent())
    assert invocation.status == "queued"


async def test_messages_to_start_carry_their_user_so_that_the_queue_can_be_fair(world: World) -> None:
    agent = world.agent()
    world.worker().invocations.submit(agent, "hi")
    assert world.invocations.groups == [agent.user_id]


def test_the_api_takes_a_number_auto_or_null_and_nothing_else(account: Account) -> None:
    account.api.request("POST", "/agents", {"name": "Pool", "warm": 2})
    for warm in (0, 20, "auto", None):
        assert account.api.request("PATCH", "/agents/pool", {"warm": warm}).json["warm"] == warm
    for wrong in (-1, 21, "many", 1.5):
        assert account.api.request("PATCH", "/agents/pool", {"warm": wrong}).status == 422
