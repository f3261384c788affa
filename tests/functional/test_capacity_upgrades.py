"""Rows and calls of a version that counted sandboxes by a number are survived, and soon counted by name."""

from typing import Any

import pytest

from castari.adapters.tables.codec import key
from castari.bootstrap import clients
from castari.errors import NoCapacity
from castari.messages import ServeLine, StartInvocation
from tests.functional.test_capacity_promises import counted, creation, rounds
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


def _write_row(stack: dict[str, str], **attributes: Any) -> None:
    row = {**key(kind="capacity", place="now"), **attributes}
    clients.dynamodb().put_item(TableName=stack["CAPACITY_TABLE"], Item=row)


_BY_NUMBER: dict[str, Any] = {"version": {"N": "7"}, "alive": {"N": "2"}, "wanted": {"BOOL": True}}
"""The row where sandboxes are counted by a number, full and with somebody who waits."""


async def test_a_row_that_counts_by_a_number_is_read_and_what_it_counted_is_found_by_sweep(
    world: World, stack: dict[str, str]
) -> None:
    world.sandboxes_at_once = 2
    running = [(await creation(world)()).sandbox_id for _ in range(2)]
    _write_row(stack, **_BY_NUMBER)
    await rounds(world, 1)
    assert counted(world).sandboxes == set(running)
    with pytest.raises(NoCapacity):
        world.worker().capacity.take("run")
    await world.worker().sandboxes.kill(running[0])
    assert ServeLine() in [message for message, _ in world.invocations.messages]
    assert world.worker().capacity.take("run")


@pytest.mark.parametrize("call_id", ["call_01jbqx3v8m", None])
async def test_a_call_of_a_version_that_counts_by_a_number_is_started_and_counted(
    world: World, stack: dict[str, str], call_id: str | None
) -> None:
    world.sandboxes_at_once = 2
    _write_row(stack, **_BY_NUMBER)
    queued = world.worker().invocations.submit(world.agent(warm=0), "hi")
    call = StartInvocation(invocation_id=queued.invocation_id, counted=True, call_id=call_id)
    told = [await world.worker().starts.carry_out(call) for _ in range(2)]
    assert told == ["started on a new sandbox", "claimed already"]
    assert counted(world).sandboxes == world.sandboxes.alive.keys()
    assert counted(world).alive == 1


async def test_a_call_of_a_version_that_counts_by_a_number_waits_again_where_there_is_no_room(
    world: World,
) -> None:
    world.sandboxes_at_once = 1
    build = world.worker().capacity.take("build")
    queued = world.worker().invocations.submit(world.agent(warm=0), "hi")
    call = StartInvocation(invocation_id=queued.invocation_id, counted=True, call_id="call_01jbqx3v8m")
    await world.worker().starts.carry_out(call)
    assert not world.sandboxes.alive
    world.invocations.messages.clear()
    world.worker().capacity.give_back(build)
    for message, _ in list(world.invocations.messages):
        await world.worker().starts.carry_out(message)  # type: ignore[arg-type]
    ready, _ = world.invocations.messages[-1]
    assert isinstance(ready, StartInvocation)
    assert await world.worker().starts.carry_out(ready) == "started on a new sandbox"
