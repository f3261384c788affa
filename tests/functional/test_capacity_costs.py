"""What counting costs: nothing without limits, no more than it must with one, and a row that fits."""

import re
from pathlib import Path

import pytest

from castari.adapters.tables.codec import key
from castari.bootstrap import clients, tables
from castari.messages import StartInvocation
from tests.functional.test_capacity_promises import counted, creation
from tests.mortal import Mortal
from tests.worker import Worker
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


async def _everything(world: World, worker: Worker) -> None:
    """Go every way on which sandboxes are made, used, ended and looked for."""
    agent = world.agent()
    await worker.starts.start(worker.invocations.submit(agent, "hi").invocation_id)
    await worker.call(agent)
    await worker.pool.refill(agent.user_id, agent.slug)
    await worker.call(agent)
    call = StartInvocation(
        invocation_id=worker.invocations.submit(agent, "hi").invocation_id, counted=True, call_id="7@now"
    )
    await worker.starts.carry_out(call)
    for sandbox_id in [*world.sandboxes.alive, "gone"]:
        await worker.sandboxes.kill(sandbox_id)
    await creation(world)()
    await worker.sweep.sweep()


def _calls_of_capacity(watched: Mortal) -> list[str]:
    return [call for call in watched.calls if call.startswith(("capacity.", "line."))]


async def test_without_limits_nobody_reads_or_writes_the_table_of_capacity(world: World) -> None:
    watched = Mortal()
    await _everything(world, world.worker(watched.wrap))
    assert "sandboxes.create" in watched.calls
    assert _calls_of_capacity(watched) == []


async def test_where_only_the_rate_has_a_limit_no_sandbox_is_counted(world: World) -> None:
    world.creates_per_second, world.pause = 100, world.clock.sleep
    watched = Mortal()
    await _everything(world, world.worker(watched.wrap))
    assert "capacity.promise" in _calls_of_capacity(watched)
    assert {"capacity.keep", "capacity.adopt", "capacity.note_unseen"}.isdisjoint(watched.calls)
    assert counted(world).alive == 0


def test_the_row_of_the_largest_plan_is_one_that_dynamodb_holds(world: World, stack: dict[str, str]) -> None:
    """At worst all are promised, for which names are the longest, and as many are missing from a listing."""
    template = (Path(__file__).parents[2] / "template.yaml").read_text()
    (said,) = re.findall(r"\n  SandboxesAtOnce:\n(?:    .*\n)*?    MaxValue: (\d+)\n", template)
    most = world.sandboxes_at_once = int(said)
    table, now = tables.capacity_table(), world.clock()
    promises = [f"{10**8 + number}@{now.isoformat()}" for number in range(most)]
    table.adopt(promises)
    table.note_unseen([f"i{number:020}-{number:08x}" for number in range(most)], now)
    row = clients.dynamodb().get_item(
        TableName=stack["CAPACITY_TABLE"], Key=key(kind="capacity", place="now"), ConsistentRead=True
    )["Item"]
    assert len(row["sandboxes"]["SS"]) == len(row["unseen"]["SS"]) == most
    # A set's elements take their length and one byte each.
    assert sum(len(name) + 1 for names in ("sandboxes", "unseen") for name in row[names]["SS"]) < 390 * 1024
    assert not table.release(promises)
    assert world.worker().capacity.now().alive == 0
