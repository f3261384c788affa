"""What is overdue is ended, what belongs to nobody is killed, and what is in use is left alone."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest
from pydantic import SecretStr

from castari.bootstrap import catalogue, stores
from castari.errors import NotFound, VendorUnavailable
from castari.messages import DeleteAgent, DestroySandbox, Refill, StopAgent
from castari.models import Agent
from castari.services.requeues import QUEUE_SECONDS
from tests.worker import Worker
from tests.world import World


@pytest.fixture
def worker(world: World) -> Worker:
    return world.worker()


@pytest.fixture(autouse=True)
async def _nothing_left_of_other_tests(worker: Worker) -> None:
    for invocation in list(worker.table.open()):
        worker.table.delete(invocation.invocation_id)
    for warm in list(worker.warm.all()):
        worker.warm.take(warm)


async def _started(world: World, agent: Agent) -> str:
    world.runner.stores = world.runner.prints = False
    world.runner.waits = asyncio.Event().wait
    return (await world.worker().call(agent, seconds=0.05)).invocation_id


async def test_a_round_with_nothing_to_do_does_nothing(world: World, worker: Worker) -> None:
    agent = world.agent()
    await worker.warm_up(agent)
    await _started(world, world.agent())
    alive = set(world.sandboxes.alive)
    world.clock.pass_(seconds=60)
    assert await worker.sweep.sweep() == {}
    assert set(world.sandboxes.alive) == alive


async def test_an_invocation_past_its_deadline_without_a_result_is_lost_and_its_sandbox_killed(
    world: World, worker: Worker
) -> None:
    invocation_id = await _started(world, world.agent())
    world.clock.pass_(seconds=world.limits.default_timeout_seconds + 11)
    assert await worker.sweep.sweep() == {"invocations_lost": 1}
    assert worker.table.get(invocation_id).status == "lost"
    assert not world.sandboxes.alive
    assert await worker.sweep.sweep() == {}


async def test_a_result_that_was_stored_counts_although_its_event_was_lost(
    world: World, worker: Worker
) -> None:
    invocation_id = await _started(world, world.agent())
    world.runner.store(world.runner.report(world.runner.environments[0]))
    world.clock.pass_(seconds=world.limits.default_timeout_seconds + 11)
    assert await worker.sweep.sweep() == {"invocations_completed": 1}
    assert worker.table.get(invocation_id).response


async def test_an_invocation_that_waited_too_long_for_a_sandbox_fails(world: World, worker: Worker) -> None:
    queued = worker.invocations.submit(world.agent(), "later")
    world.clock.pass_(seconds=QUEUE_SECONDS + 1)
    assert await worker.sweep.sweep() == {"invocations_failed": 1}
    failure = worker.table.get(queued.invocation_id).failure
    assert failure
    assert failure.code == "vendor_unavailable"


async def test_a_sandbox_of_an_attempt_that_is_over_is_killed(world: World, worker: Worker) -> None:
    invocation_id = await _started(world, world.agent())
    row = worker.table.get(invocation_id)
    worker.table.change(row, {"status": "queued", "attempt": 2, "sandbox_id": None})
    world.clock.pass_(seconds=31)
    assert await worker.sweep.sweep() == {"orphans_killed": 1}


async def test_a_warm_sandbox_that_nobody_offers_is_killed_once_it_cannot_be_in_use(
    world: World, worker: Worker
) -> None:
    agent = world.agent()
    await worker.warm_up(agent)
    (warm,) = worker.warm.all()
    worker.warm.take(warm)
    world.clock.pass_(seconds=world.limits.warm_idle_seconds - 60)
    assert await worker.sweep.sweep() == {}
    world.clock.pass_(seconds=120)
    assert await worker.sweep.sweep() == {"orphans_killed": 1}


async def test_a_warm_sandbox_unused_for_long_is_destroyed(world: World, worker: Worker) -> None:
    await worker.warm_up(world.agent())
    world.clock.pass_(seconds=world.limits.warm_idle_seconds + 1)
    assert await worker.sweep.sweep() == {"warm_expired": 1}
    assert not world.sandboxes.alive
    assert list(worker.warm.all()) == []


async def test_an_offer_of_a_sandbox_that_is_gone_is_removed(world: World, worker: Worker) -> None:
    await worker.warm_up(world.agent())
    world.sandboxes.alive.clear()
    world.clock.pass_(seconds=31)
    assert await worker.sweep.sweep() == {"warm_dead": 1}


async def test_a_refill_makes_what_is_missing_and_no_more(world: World, worker: Worker) -> None:
    agent = world.agent()
    message = Refill(user_id=agent.user_id, slug=agent.slug)
    assert await worker.removals.carry_out(message) == "1 made"
    assert await worker.removals.carry_out(message) == "0 made"
    assert len(world.sandboxes.alive) == 1


async def test_refills_at_once_end_with_one_sandbox(world: World) -> None:
    agent = world.agent()
    workers = [world.worker() for _ in range(4)]
    await asyncio.gather(*(each.pool.refill(agent.user_id, agent.slug) for each in workers))
    assert len(list(workers[0].warm.all())) == 1
    assert len(world.sandboxes.alive) == 1


async def test_a_row_that_nobody_foresaw_is_told_and_keeps_no_other_from_its_end(world: World) -> None:
    agent = world.agent()
    broken, other = [await _started(world, agent) for _ in range(2)]
    results = stores.result_bucket()

    class Unforeseen:
        def read(self, key: str, **limits: int) -> object:
            if broken in key:
                raise ZeroDivisionError
            return results.read(key, **limits)

    worker = world.worker(lambda name, adapter: Unforeseen() if name == "results" else adapter)
    world.clock.pass_(seconds=300)
    done = await worker.sweep.sweep()
    assert (done["invocations_broke"], done["invocations_lost"]) == (1, 1)
    ((invocation_id, error),) = world.unforeseen
    assert (invocation_id, type(error)) == (broken, ZeroDivisionError)
    assert worker.table.get(other).status == "lost"


async def test_a_refill_for_an_agent_that_is_stopped_or_gone_makes_nothing(
    world: World, worker: Worker
) -> None:
    stopped = world.agent(status="stopped")
    assert await worker.pool.refill(stopped.user_id, stopped.slug) == 0
    assert await worker.pool.refill("user_none", "nothing") == 0
    assert not world.sandboxes.alive


async def test_a_failed_offer_leaves_no_sandbox(world: World, worker: Worker) -> None:
    agent = world.agent()
    broken = worker.warm

    class Unwritable:
        def put(self, _warm: object) -> None:
            raise VendorUnavailable("the table is down")

        def __getattr__(self, name: str) -> object:
            return getattr(broken, name)

    worker = world.worker(lambda name, adapter: Unwritable() if name == "warm" else adapter)
    with pytest.raises(VendorUnavailable):
        await worker.warm_up(agent)
    assert not world.sandboxes.alive


async def test_destroying_a_sandbox_twice_is_fine(world: World, worker: Worker) -> None:
    sandbox_id = await worker.warm_up(world.agent())
    message = DestroySandbox(sandbox_id=sandbox_id)
    assert await worker.removals.carry_out(message) == "killed"
    assert await worker.removals.carry_out(message) == "gone already"


async def test_stopping_an_agent_ends_all_its_sandboxes_and_cancels_what_runs(
    world: World, worker: Worker
) -> None:
    agent, other = world.agent(), world.agent()
    await worker.warm_up(other)
    running = await _started(world, agent)
    await worker.warm_up(agent)
    worker.agents.update(agent, {"status": "stopped"})
    await worker.removals.carry_out(
        StopAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id)
    )
    assert worker.table.get(running).status == "cancelled"
    assert {each.metadata["agent_id"] for each in world.sandboxes.alive.values()} == {other.agent_id}


async def test_a_stop_that_comes_after_the_next_deploy_ends_nothing(world: World, worker: Worker) -> None:
    agent = world.agent()
    await worker.warm_up(agent)
    await worker.removals.carry_out(
        StopAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id)
    )
    assert len(world.sandboxes.alive) == 1


async def test_deleting_an_agent_removes_all_it_had_and_can_be_done_again(
    world: World, worker: Worker
) -> None:
    agent = world.agent()
    catalogue.secrets().set(agent.user_id, agent.slug, "COLOUR", SecretStr("red"))
    agent = worker.agents.get(agent.user_id, agent.slug)
    done = await worker.call(agent, "x" * 100_000)
    key = f"bundles/{agent.user_id}/{agent.slug}/a.tar.gz"
    worker.bundles.put(key, b"bundle", content_type="application/gzip")
    version = worker.claims.first(agent, world.request(agent, key), 2).model_copy(
        update={"snapshot_id": "snapshot-of-the-agent"}
    )
    worker.versions.create(version)
    message = DeleteAgent(
        user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id, requested_at=_tomorrow(world)
    )
    for _ in range(2):
        await worker.removals.carry_out(message)
    gone: tuple[Callable[[], object], ...] = (
        lambda: worker.agents.get(agent.user_id, agent.slug),
        lambda: worker.table.get(done.invocation_id),
        lambda: worker.versions.get(agent.agent_id, version.version_id),
        lambda: worker.results.read(str(done.prompt_key), limit_bytes=1),
        lambda: worker.bundles.about(key),
    )
    for missing in gone:
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(VendorUnavailable):
        stores.secret_store()._fetch(agent.agent_id, str(agent.secret_version_id))
    assert "snapshot-of-the-agent" not in world.sandboxes.snapshots


def _tomorrow(world: World) -> datetime:
    world.clock.pass_(days=1)
    return world.clock()
