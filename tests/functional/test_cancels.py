"""An owner cancels an invocation: queued, on its way, running or over."""

import asyncio
from typing import cast

import pytest

from castari.adapters.tables.invocations import InvocationsTable
from castari.bootstrap import tables
from castari.errors import NotFound, VendorUnavailable
from castari.messages import DestroySandbox
from castari.models import Agent, Invocation
from castari.services.cancels import Cancels
from tests.functional.conftest import Account
from tests.worker import Worker
from tests.world import World


@pytest.fixture
def endless(world: World) -> World:
    """Agents run until the test ends."""
    world.runner.waits = asyncio.Event().wait
    return world


def counted(world: World, invocation: Invocation) -> int:
    today = world.clock().date()
    return sum(day.invocation_count for day in tables.usage_table().list(invocation.user_id, today, today))


def destroyed(world: World) -> list[str]:
    return [
        message.sandbox_id for message, _ in world.maintenance.messages if isinstance(message, DestroySandbox)
    ]


async def test_a_running_invocation_is_cancelled_once_and_its_sandbox_is_to_end(endless: World) -> None:
    agent, worker = endless.agent(), endless.worker()
    running = await worker.call(agent, seconds=0.05)
    cancelled = worker.cancels.cancel(agent, running.invocation_id)
    assert cancelled.failure
    assert (cancelled.status, cancelled.failure.code) == ("cancelled", "cancelled")
    assert destroyed(endless) == [running.sandbox_id]
    again = worker.cancels.cancel(agent, running.invocation_id)
    assert again == worker.table.get(running.invocation_id) == cancelled
    assert counted(endless, running) == 1


async def test_a_result_that_comes_after_the_cancel_changes_nothing(endless: World) -> None:
    agent, worker = endless.agent(), endless.worker()
    running = await worker.call(agent, seconds=0.05)
    worker.cancels.cancel(agent, running.invocation_id)
    endless.runner.store(endless.runner.report(endless.runner.environments[0]))
    assert worker.completions.complete(running.invocation_id, 1) == "cancelled already"
    assert counted(endless, running) == 1


async def test_a_queued_invocation_is_cancelled_and_never_starts(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    assert worker.cancels.cancel(agent, queued.invocation_id).status == "cancelled"
    assert await worker.starts.start(queued.invocation_id) == "claimed already"
    assert (world.sandboxes.calls, destroyed(world), counted(world, queued)) == ([], [], 1)


async def test_what_is_over_stays_as_it_ended(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    ended = await worker.call(agent)
    assert worker.cancels.cancel(agent, ended.invocation_id) == worker.table.get(ended.invocation_id)
    assert (destroyed(world), counted(world, ended)) == ([], 1)


@pytest.mark.parametrize("step", ["create", "start"])
async def test_a_cancel_while_the_sandbox_is_on_its_way_leaves_no_sandbox(world: World, step: str) -> None:
    agent, worker = world.agent(), world.worker()
    draft = worker.invocations.draft(agent, "hi")
    world.sandboxes.before = {step: lambda: _cancel(world, worker, draft)}
    answered = await worker.calls.call(agent, draft, 5)
    assert (answered.status, world.sandboxes.alive) == ("cancelled", {})
    assert counted(world, draft) == 1


async def test_a_queued_invocation_cancelled_while_it_starts_leaves_no_sandbox(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    world.sandboxes.before = {"create": lambda: _cancel(world, worker, queued)}
    assert await worker.starts.start(queued.invocation_id) == "claimed already"
    assert world.sandboxes.alive == {}


async def test_a_cancel_of_what_is_claimed_at_that_moment_is_a_cancel_all_the_same(world: World) -> None:
    worker = world.worker()
    agent, stale = await _claimed_meanwhile(world)
    table = cast("InvocationsTable", Stale(stale))
    cancels = Cancels(table, worker.finishes, worker.maintenance)
    cancelled = cancels.cancel(agent, stale.invocation_id)
    assert (cancelled.status, destroyed(world)) == ("cancelled", [cancelled.sandbox_id])


async def test_an_index_that_lags_hides_nothing_from_a_stop(world: World) -> None:
    worker = world.worker()
    agent, stale = await _claimed_meanwhile(world)
    lagging = cast("InvocationsTable", Lagging([stale]))
    assert Cancels(lagging, worker.finishes, worker.maintenance).cancel_all(agent.agent_id) == 1
    assert worker.table.get(stale.invocation_id).status == "cancelled"


async def test_a_message_that_could_not_be_sent_is_sent_by_the_next_cancel(endless: World) -> None:
    agent, worker = endless.agent(), endless.worker()
    running = await worker.call(agent, seconds=0.05)
    endless.maintenance.failures = [VendorUnavailable("SQS is down")]
    with pytest.raises(VendorUnavailable):
        worker.cancels.cancel(agent, running.invocation_id)
    worker.cancels.cancel(agent, running.invocation_id)
    assert destroyed(endless) == [running.sandbox_id]


async def test_an_invocation_of_another_agent_is_not_found(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    ended = await worker.call(agent)
    with pytest.raises(NotFound):
        worker.cancels.cancel(world.agent(), ended.invocation_id)


def test_over_http_it_is_the_invocation_that_is_answered(poet: Account) -> None:
    queued = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"}, wait=0).json
    path = f"/agents/poet/invocations/{queued['invocation_id']}"
    for _ in range(2):
        reply = poet.api.request("DELETE", path)
        assert (reply.status, reply.json["status"]) == (200, "cancelled")
        assert reply.json["failure"]["code"] == "cancelled"
    assert poet.api.request("DELETE", "/agents/poet/invocations/inv_unknown").status == 404


class Lagging:
    """An index of open rows that shows them as they were a moment ago."""

    def __init__(self, rows: list[Invocation]) -> None:
        self._rows = rows

    def open(self) -> list[Invocation]:
        return self._rows


class Stale:
    """A table whose first answer is of a moment ago."""

    def __init__(self, row: Invocation) -> None:
        self._row = row

    def get(self, _invocation_id: str) -> Invocation:
        return self._row


async def _claimed_meanwhile(world: World) -> tuple[Agent, Invocation]:
    """Let an invocation run; return it as it was before."""
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    stale = worker.table.get(queued.invocation_id)
    world.runner.waits = asyncio.Event().wait
    await worker.starts.start(queued.invocation_id)
    return agent, stale


def _cancel(world: World, worker: Worker, invocation: Invocation) -> None:
    """Cancel, and have the sandbox destroyed at once."""
    agent = worker.agents.get(invocation.user_id, invocation.slug)
    worker.cancels.cancel(agent, invocation.invocation_id)
    for sandbox_id in destroyed(world):
        world.sandboxes.alive.pop(sandbox_id, None)
