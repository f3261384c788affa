"""A sandbox is promised, made, counted by its id and counted no more, whatever goes wrong on the way."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import e2b
import pytest
from pydantic import SecretStr

from castari.adapters import sandboxes as adapter
from castari.errors import (
    CastariError,
    NoCapacity,
    SandboxMissing,
    VendorRateLimited,
    VendorUnanswered,
    VendorUnavailable,
)
from castari.messages import ServeLine
from castari.models import CapacityState, SandboxAccess
from tests.worker import Worker
from tests.world import World, unique

pytestmark = pytest.mark.usefixtures("empty_tables")


def counted(world: World) -> CapacityState:
    return world.worker().capacity.now()


async def rounds(world: World, number: int) -> None:
    """Let sweep make its rounds, a minute apart."""
    for _ in range(number):
        world.clock.pass_(seconds=60)
        world.sandboxes.let_time_pass()
        await world.worker().sweep.sweep()


def creation(
    world: World, *, then: type[BaseException] | None = None
) -> Callable[[], Awaitable[SandboxAccess]]:
    """Return what makes a sandbox of nobody, and then fails or does not."""

    async def create() -> SandboxAccess:
        access = await world.sandboxes.create(
            "castari-base", timeout_seconds=3600, metadata={"kind": "other"}, idempotency_key=unique()
        )
        if then:
            raise then("no answer")
        return access

    return create


async def _hang() -> SandboxAccess:
    await asyncio.sleep(3600)
    raise AssertionError


async def _cancelled(worker: Worker, promise: str | None) -> None:
    making = asyncio.ensure_future(worker.capacity.make(promise, _hang))
    await asyncio.sleep(0)
    making.cancel()
    with suppress(asyncio.CancelledError):
        await making


async def _out_of_time(worker: Worker, promise: str | None) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await worker.capacity.make(promise, _hang)


async def _unanswered(worker: Worker, promise: str | None) -> None:
    async def create() -> SandboxAccess:
        raise VendorUnanswered("reset")

    with pytest.raises(VendorUnanswered):
        await worker.capacity.make(promise, create)


@pytest.mark.parametrize("fail", [_cancelled, _out_of_time, _unanswered])
async def test_the_place_of_a_creation_that_nobody_heard_of_is_kept_until_it_would_be_listed(
    world: World, fail: Callable[[Worker, str | None], Awaitable[None]]
) -> None:
    world.sandboxes_at_once = 1
    worker = world.worker()
    promise = worker.capacity.take("run")
    await fail(worker, promise)
    await rounds(world, 1)
    assert counted(world).promised == {promise}
    with pytest.raises(NoCapacity):
        worker.capacity.take("run")
    world.invocations.messages.clear()
    await rounds(world, 1)
    assert counted(world).alive == 0
    assert ServeLine() in [message for message, _ in world.invocations.messages]
    assert worker.capacity.take("run")


async def test_a_sandbox_that_was_made_unheard_is_counted_once_it_is_listed(world: World) -> None:
    world.sandboxes_at_once = 2
    worker = world.worker()
    promise = worker.capacity.take("run")
    assert promise
    with pytest.raises(VendorUnanswered):
        await worker.capacity.make(promise, creation(world, then=VendorUnanswered))
    (made,) = world.sandboxes.alive
    await rounds(world, 1)
    assert counted(world).sandboxes == {made}
    assert counted(world).promised == {promise}
    await rounds(world, 1)
    assert counted(world).sandboxes == {made}
    assert not counted(world).promised


@pytest.mark.parametrize("error", [VendorUnavailable, VendorRateLimited, SandboxMissing])
async def test_a_creation_that_was_refused_gives_its_place_back_at_once(
    world: World, error: type[CastariError]
) -> None:
    world.sandboxes_at_once = 1
    worker = world.worker()

    async def create() -> SandboxAccess:
        raise error("no")

    with pytest.raises(error):
        await worker.capacity.make(worker.capacity.take("run"), create)
    assert counted(world).alive == 0


async def test_nothing_is_made_of_a_promise_that_sweep_may_soon_drop(world: World) -> None:
    world.sandboxes_at_once = 1
    worker = world.worker()
    promise = worker.capacity.take("run")
    world.clock.pass_(seconds=31)
    with pytest.raises(VendorRateLimited):
        await worker.capacity.make(promise, creation(world))
    assert (counted(world).alive, len(world.sandboxes.alive)) == (0, 0)


async def test_a_sandbox_that_is_killed_twice_is_counted_less_once(world: World) -> None:
    world.sandboxes_at_once = 3
    worker = world.worker()
    one, two = [
        (await worker.capacity.make(worker.capacity.take("build"), creation(world))).sandbox_id
        for _ in range(2)
    ]
    assert [await worker.sandboxes.kill(one) for _ in range(3)] == [True, False, False]
    assert counted(world).sandboxes == {two}


async def test_a_sandbox_that_ended_by_itself_is_counted_less_when_two_listings_missed_it(
    world: World,
) -> None:
    world.sandboxes_at_once = 1
    worker = world.worker()
    made = await worker.capacity.make(worker.capacity.take("run"), creation(world))
    del world.sandboxes.alive[made.sandbox_id]
    await rounds(world, 1)
    assert counted(world).sandboxes == {made.sandbox_id}
    await rounds(world, 1)
    assert counted(world).alive == 0


async def test_a_creation_is_given_up_after_its_time_whatever_the_sdk_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(e2b.AsyncSandbox, "create", hang)
    monkeypatch.setattr(adapter, "_CREATE_SECONDS", 0)
    real = adapter.Sandboxes("test", SecretStr("key"))
    with pytest.raises(VendorUnanswered):
        await real.create("castari-base", timeout_seconds=60, metadata={}, idempotency_key=unique())
