"""Warm sandboxes that are gone before their time: refill and sweep see it, and replace them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from castari.errors import CastariError, SandboxMissing, VendorRateLimited, VendorUnavailable
from castari.messages import Refill
from castari.models import Agent, SandboxSummary
from tests.fakes import FakeSandboxes
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


def _offered(world: World, agent: Agent) -> set[str]:
    return {each.sandbox_id for each in world.worker().warm.all() if each.agent_id == agent.agent_id}


async def _refill(world: World, agent: Agent) -> int:
    return await world.worker().pool.refill(agent.user_id, agent.slug)


async def _filled(world: World, warm: int) -> Agent:
    """Return an agent whose pool is full, and old enough to be in any listing."""
    agent = world.agent(warm=warm)
    await _refill(world, agent)
    world.clock.pass_(seconds=31)
    world.sandboxes.calls.clear()
    return agent


async def test_what_is_gone_is_replaced_by_a_refill_and_the_next_call_is_warm(world: World) -> None:
    agent = await _filled(world, 2)
    for sandbox_id in list(world.sandboxes.alive):
        del world.sandboxes.alive[sandbox_id]
    assert await _refill(world, agent) == 2
    assert _offered(world, agent) == set(world.sandboxes.alive)
    queued = world.worker().invocations.submit(agent, "hi")
    assert await world.worker().starts.start(queued.invocation_id) == "started on a warm sandbox"


async def test_a_refill_asks_once_for_all_and_ends_what_is_gone(world: World) -> None:
    agent = await _filled(world, 5)
    del world.sandboxes.alive[next(iter(world.sandboxes.alive))]
    assert await _refill(world, agent) == 1
    assert world.sandboxes.calls == ["list", "kill", "create", "begin"]
    world.sandboxes.calls.clear()
    assert await _refill(world, agent) == 0
    assert world.sandboxes.calls == ["list"]


async def test_a_refill_after_the_only_one_was_taken_asks_for_nothing_more(world: World) -> None:
    agent = await _filled(world, 1)
    queued = world.worker().invocations.submit(agent, "hi")
    await world.worker().starts.start(queued.invocation_id)
    world.sandboxes.calls.clear()
    assert await _refill(world, agent) == 1
    assert world.sandboxes.calls == ["create", "begin"]


@pytest.mark.parametrize(
    "outage", [VendorUnavailable("500"), VendorRateLimited("429"), SandboxMissing("404, of a listing")]
)
async def test_a_service_that_cannot_be_asked_is_no_reason_to_remove_any(
    world: World, outage: CastariError
) -> None:
    agent = await _filled(world, 2)
    offered = _offered(world, agent)
    world.sandboxes.failures["list"] = [outage]
    assert await _refill(world, agent) == 0
    assert _offered(world, agent) == offered == set(world.sandboxes.alive)


class _EndsEarly(FakeSandboxes):
    """A service that fails after the first of what it lists."""

    async def list(self, **metadata: str) -> AsyncIterator[SandboxSummary]:
        async for found in super().list(**metadata):
            yield found
            raise VendorUnavailable("the second page never came")


async def test_half_a_listing_tells_nothing(world: World) -> None:
    agent = await _filled(world, 3)
    offered = _offered(world, agent)
    world.sandboxes.__class__ = _EndsEarly
    assert await _refill(world, agent) == 0
    assert _offered(world, agent) == offered == set(world.sandboxes.alive)


class _Crowded(FakeSandboxes):
    """A service with more of a version's sandboxes than anybody should page through."""

    listed = 0

    async def list(self, **_metadata: str) -> AsyncIterator[SandboxSummary]:
        now = self.clock()
        for number in range(10_000):
            _Crowded.listed += 1
            yield SandboxSummary(sandbox_id=f"used{number}", metadata={}, started_at=now, ends_at=now)


async def test_a_listing_that_goes_on_and_on_is_left_to_sweep(world: World) -> None:
    agent = await _filled(world, 2)
    offered = _offered(world, agent)
    world.sandboxes.__class__ = _Crowded
    assert await _refill(world, agent) == 0
    assert _Crowded.listed <= 500
    assert _offered(world, agent) == offered


async def test_a_sandbox_too_young_to_be_listed_stays(world: World) -> None:
    agent = world.agent(warm=1)
    await _refill(world, agent)
    (sandbox_id,) = _offered(world, agent)
    del world.sandboxes.alive[sandbox_id]
    assert await _refill(world, agent) == 0
    assert _offered(world, agent) == {sandbox_id}


async def test_one_that_is_taken_and_used_up_meanwhile_is_left_to_whoever_took_it(world: World) -> None:
    agent = await _filled(world, 2)
    taken: list[str] = []

    def take() -> None:
        worker = world.worker()
        warm = next(iter(worker.warm.all()))
        assert worker.warm.take(warm)
        taken.append(warm.sandbox_id)
        world.sandboxes.before.clear()
        del world.sandboxes.alive[warm.sandbox_id]

    world.sandboxes.before["list"] = take
    await _refill(world, agent)
    assert taken
    assert "kill" not in world.sandboxes.calls
    await _refill(world, agent)
    assert len(_offered(world, agent)) == 2


async def test_one_that_a_listing_left_out_does_not_live_on_unseen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await _filled(world, 2)
    hidden = next(iter(world.sandboxes.alive))
    whole = world.sandboxes.list

    async def listing(**metadata: str) -> Any:
        async for found in whole(**metadata):
            if found.sandbox_id != hidden:
                yield found

    monkeypatch.setattr(world.sandboxes, "list", listing)
    assert await _refill(world, agent) == 1
    assert _offered(world, agent) == set(world.sandboxes.alive)
    assert hidden not in world.sandboxes.alive


async def test_sweep_has_those_of_agents_in_use_replaced_and_forgets_the_others(world: World) -> None:
    used, unused = await _filled(world, 2), await _filled(world, 1)
    world.worker().invocations.submit(used, "in use")
    world.maintenance.messages.clear()
    world.sandboxes.alive.clear()
    done = await world.worker().sweep.sweep()
    assert done["warm_dead"] == 3
    assert world.maintenance.messages == [(Refill(user_id=used.user_id, slug=used.slug), 0)]
    assert not _offered(world, used) | _offered(world, unused)
