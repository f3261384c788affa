"""What follows on a sandbox that was taken: its end and its successor, whichever message comes when."""

import asyncio

import pytest

from castari.errors import VendorUnavailable
from castari.messages import DestroySandbox, Refill, ReplaceSandbox
from castari.models import Agent, Invocation
from tests.world import World


def _replacing(agent: Agent, running: Invocation) -> ReplaceSandbox:
    return ReplaceSandbox(
        user_id=agent.user_id,
        slug=agent.slug,
        sandbox_id=str(running.sandbox_id),
        invocation_id=running.invocation_id,
        attempt=running.attempt,
    )


async def test_a_used_warm_sandbox_is_replaced_by_one_message(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    used = await worker.warm_up(agent)
    done = await worker.call(agent)
    assert world.maintenance.messages == [(_replacing(agent, done), 0)]
    assert await worker.removals.carry_out(_replacing(agent, done)) == "killed, 1 made"
    assert used not in world.sandboxes.alive
    assert await worker.removals.carry_out(_replacing(agent, done)) == "gone already, 0 made"


async def test_one_that_is_used_for_long_is_replaced_early_and_ended_at_once(world: World) -> None:
    async def rounds_of_the_loop() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    world.soon_seconds, world.runner.waits = 0, rounds_of_the_loop
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)
    assert (await worker.call(agent)).status == "completed"
    assert world.maintenance.messages == [(Refill(user_id=agent.user_id, slug=agent.slug), 0)]
    assert not world.sandboxes.alive


async def test_one_whose_agent_runs_on_is_replaced_and_not_ended(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)
    world.runner.waits = asyncio.Event().wait
    assert (await worker.call(agent, seconds=0)).status == "running"
    assert world.maintenance.messages == [(Refill(user_id=agent.user_id, slug=agent.slug), 0)]


async def test_one_whose_replacement_cannot_be_asked_for_is_ended_at_once(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)
    world.maintenance.failures.append(VendorUnavailable("SQS is down"))
    assert (await worker.call(agent)).status == "completed"
    assert not world.sandboxes.alive


async def test_one_whose_attempt_is_not_over_yet_is_ended_a_second_later(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)
    world.runner.waits = asyncio.Event().wait
    running = await worker.call(agent, seconds=0)
    world.maintenance.messages.clear()
    assert await worker.removals.carry_out(_replacing(agent, running)) == "in use, 1 made"
    again = DestroySandbox(
        sandbox_id=str(running.sandbox_id), invocation_id=running.invocation_id, attempt=running.attempt
    )
    assert world.maintenance.messages == [(again, 1)]
    assert await worker.removals.carry_out(again) == "in use"
    worker.cancels.cancel(agent, running.invocation_id)
    assert await worker.removals.carry_out(again) == "killed"


async def test_one_that_cannot_be_ended_is_replaced_all_the_same(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)
    done = await worker.call(agent)
    world.sandboxes.failures["kill"] = [VendorUnavailable("E2B is down")]
    with pytest.raises(VendorUnavailable):
        await worker.removals.carry_out(_replacing(agent, done))
    assert agent.active_version
    assert len(worker.warm.list(agent.active_version.version_id, limit=9)) == 1
