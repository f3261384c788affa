"""Warm sandboxes boot ahead what their attempt needs; where that fails, they serve all the same."""

import pytest

from castari.errors import CastariError, SandboxLost, VendorUnavailable
from castari.services.environments import STANDBY_COMMAND
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


async def test_each_boots_ahead_before_anybody_can_take_it(world: World) -> None:
    agent = world.agent(warm=2)
    await world.worker().pool.refill(agent.user_id, agent.slug)
    assert [each.begun for each in world.sandboxes.alive.values()] == [[STANDBY_COMMAND]] * 2
    calls = [call for call in world.sandboxes.calls if call in {"create", "begin"}]
    assert calls == ["create", "begin"] * 2


@pytest.mark.parametrize("failure", [VendorUnavailable("busy"), SandboxLost("no answer")])
async def test_one_that_cannot_boot_ahead_is_offered_all_the_same(
    world: World, failure: CastariError
) -> None:
    agent = world.agent()
    world.sandboxes.failures["begin"] = [failure]
    await world.worker().pool.refill(agent.user_id, agent.slug)
    (warm,) = world.worker().warm.all()
    assert warm.sandbox_id in world.sandboxes.alive


async def test_a_sandbox_that_is_made_for_an_attempt_boots_nothing_ahead(world: World) -> None:
    agent, worker = world.agent(warm=0), world.worker()
    queued = worker.invocations.submit(agent, "now")
    await worker.starts.start(queued.invocation_id)
    (sandbox,) = world.sandboxes.alive.values()
    assert (sandbox.begun, len(sandbox.commands)) == ([], 1)
