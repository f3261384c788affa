"""Attempts that come to nothing: made again where nothing was started, or where the agent may run twice."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from castari.adapters.tables.invocations import InvocationsTable
from castari.bootstrap import tables
from castari.errors import SandboxLost, SandboxMissing, StaleWrite, VendorUnavailable
from castari.messages import StartInvocation
from castari.models import Agent, Invocation, WarmSandbox
from castari.schemas.invocations import InvocationResponse
from castari.services.attempts import DEADLINE_GRACE_SECONDS, SANDBOX_GRACE_SECONDS
from castari.services.requeues import QUEUE_SECONDS, REMINDER_SECONDS
from tests.mortal import Died, Mortal
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


def _agent(world: World, retries: int) -> Agent:
    agent = world.agent()
    assert agent.active_version
    version = agent.active_version.model_copy(update={"retries": retries})
    updated: Agent = tables.agents_table().update(agent, {"active_version": version})
    return updated


async def _start_all(world: World) -> list[str]:
    messages, world.invocations.messages = world.invocations.messages, []
    results = []
    for message, _ in messages:
        assert isinstance(message, StartInvocation)
        results.append(await world.worker().starts.start(message.invocation_id))
    return results


async def test_a_lost_attempt_is_final_unless_the_agent_may_run_twice(world: World) -> None:
    world.runner.prints = world.runner.stores = False
    invocation = await world.worker().call(_agent(world, 0))
    assert (invocation.status, invocation.attempt, world.invocations.messages) == ("lost", 1, [])


async def test_a_lost_attempt_of_an_agent_that_may_run_twice_is_made_again_in_another_sandbox(
    world: World,
) -> None:
    world.runner.prints = world.runner.stores = False
    invocation = await world.worker().call(_agent(world, 1))
    assert (invocation.status, invocation.sandbox_id) == ("queued", None)
    (past,) = invocation.past_attempts
    assert past.number == 1
    assert "without a result" in past.message
    assert past.sandbox_id not in world.sandboxes.alive

    assert await _start_all(world) == ["started on a new sandbox"]
    row = world.worker().table.get(invocation.invocation_id)
    assert (row.status, row.attempt) == ("running", 2)
    assert row.sandbox_id != past.sandbox_id
    world.runner.store(world.runner.report(world.sandboxes.alive[str(row.sandbox_id)].commands[0][1]))
    assert world.worker().completions.complete(row.invocation_id, 1) == "running already"
    assert world.worker().completions.complete(row.invocation_id, 2) == "completed"
    shown = InvocationResponse.of_invocation(world.worker().table.get(row.invocation_id))
    assert (shown.attempt, [each.number for each in shown.past_attempts]) == (2, [1])


async def test_retries_are_counted_and_end(world: World) -> None:
    world.runner.prints = world.runner.stores = False
    invocation = await world.worker().call(_agent(world, 2))
    for _ in range(2):
        await _start_all(world)
        world.clock.pass_(seconds=invocation.timeout_seconds + 11)
        await world.worker().sweep.sweep()
    row = world.worker().table.get(invocation.invocation_id)
    assert (row.status, row.attempt, row.retries_left) == ("lost", 3, 0)
    assert [past.number for past in row.past_attempts] == [1, 2]
    assert not world.sandboxes.alive


async def test_a_start_that_never_came_to_its_sandbox_is_made_again_and_the_sandbox_ends(
    world: World,
) -> None:
    world.sandboxes.failures["start"] = [SandboxLost("no answer")]
    queued = world.worker().invocations.submit(_agent(world, 0), "x")
    assert "queued again" in (await _start_all(world))[0]
    assert not world.sandboxes.alive
    assert await _start_all(world) == ["started on a new sandbox"]
    assert world.worker().table.get(queued.invocation_id).attempt == 2


async def test_a_start_whose_sandbox_is_gone_is_made_again_only_by_agents_that_may(world: World) -> None:
    world.sandboxes.failures["start"] = [SandboxLost("no answer"), SandboxMissing("gone")]
    queued = world.worker().invocations.submit(_agent(world, 1), "x")
    assert await _start_all(world) == ["queued"]
    assert await _start_all(world) == ["started on a new sandbox"]
    assert world.worker().table.get(queued.invocation_id).attempt == 2


@pytest.mark.parametrize("asked", ["begun", "unknown"])
@pytest.mark.parametrize("warm", [True, False])
async def test_a_start_that_came_unheard_or_may_have_runs_on_and_its_result_counts(
    world: World, asked: str, warm: bool
) -> None:
    agent = _agent(world, 0)
    if warm:
        await world.worker().warm_up(agent)
    world.sandboxes.unanswered = 1
    queued = world.worker().invocations.submit(agent, "x")
    with _unable_to_ask(world) if asked == "unknown" else nullcontext():
        await _start_all(world)
    row = world.worker().table.get(queued.invocation_id)
    (sandbox,) = world.sandboxes.alive.values()
    assert row.status == "running"
    assert sandbox.ends_at == world.clock() + timedelta(seconds=row.timeout_seconds + SANDBOX_GRACE_SECONDS)
    world.runner.store(world.runner.report(world.sandboxes.started[-1]))
    assert world.worker().completions.complete(row.invocation_id, 1) == "completed"


async def test_a_start_of_which_nothing_is_ever_heard_is_lost_when_its_time_is_over(world: World) -> None:
    queued = world.worker().invocations.submit(_agent(world, 0), "x")
    with _unable_to_ask(world):
        world.sandboxes.failures["start"] = [SandboxLost("no answer")]
        await _start_all(world)
    world.clock.pass_(seconds=queued.timeout_seconds + DEADLINE_GRACE_SECONDS + 1)
    assert (await world.worker().sweep.sweep())["invocations_lost"] == 1
    assert not world.sandboxes.alive


@contextmanager
def _unable_to_ask(world: World) -> Iterator[None]:
    """Let every start fail that comes after the first one."""

    def fail() -> None:
        if world.sandboxes.calls.count("start") - before > 1:
            raise SandboxLost("no answer")

    before = world.sandboxes.calls.count("start")
    world.sandboxes.before["start"] = fail
    yield
    del world.sandboxes.before["start"]


async def test_an_attempt_that_never_had_a_sandbox_is_made_again_without_being_asked_for(
    world: World,
) -> None:
    agent, worker = _agent(world, 0), world.worker()
    queued = worker.invocations.submit(agent, "x")
    world.invocations.messages.clear()
    mortal = Mortal(5, "after")
    with pytest.raises(Died):
        await world.worker(mortal.wrap).starts.start(queued.invocation_id)
    assert mortal.calls[-1] == "sandboxes.create"
    world.clock.pass_(seconds=61)
    assert (await worker.sweep.sweep())["invocations_queued_again"] == 1
    assert await _start_all(world) == ["started on a new sandbox"]
    assert worker.table.get(queued.invocation_id).attempt == 2
    world.clock.pass_(seconds=31)
    await worker.sweep.sweep()
    assert len(world.sandboxes.alive) == 1, "the sandbox that the first attempt made is an orphan"


async def test_a_queued_invocation_whose_message_is_gone_is_set_out_again(world: World) -> None:
    agent, worker = _agent(world, 0), world.worker()
    queued = worker.invocations.submit(agent, "x")
    world.invocations.messages.clear()
    world.clock.pass_(seconds=REMINDER_SECONDS + 1)
    assert await worker.sweep.sweep() == {"invocations_reminded": 1}
    assert await worker.sweep.sweep() == {}
    assert await _start_all(world) == ["started on a new sandbox"]
    assert worker.table.get(queued.invocation_id).status == "running"


async def test_an_attempt_that_could_not_be_sent_back_is_set_out_by_the_next_rounds(world: World) -> None:
    agent, worker = _agent(world, 0), world.worker()
    queued = worker.invocations.submit(agent, "x")
    world.invocations.messages.clear()
    world.sandboxes.failures["create"] = [VendorUnavailable("busy")]
    world.invocations.failures = [VendorUnavailable("no queue"), VendorUnavailable("no queue")]
    assert "queued again" in await worker.starts.start(queued.invocation_id)
    world.clock.pass_(seconds=60)
    assert await worker.sweep.sweep() == {"invocations_left": 1}
    world.clock.pass_(seconds=60)
    assert await worker.sweep.sweep() == {"invocations_reminded": 1}
    assert await _start_all(world) == ["started on a new sandbox"]


async def test_a_queued_invocation_is_given_up_after_half_an_hour(world: World) -> None:
    agent, worker = _agent(world, 0), world.worker()
    queued = worker.invocations.submit(agent, "x")
    for _ in range(QUEUE_SECONDS // REMINDER_SECONDS + 2):
        world.clock.pass_(seconds=REMINDER_SECONDS + 1)
        await worker.sweep.sweep()
    row = worker.table.get(queued.invocation_id)
    assert row.failure
    assert (row.status, row.failure.code) == ("failed", "vendor_unavailable")


@dataclass(frozen=True)
class Unanswered(InvocationsTable):
    """A table whose first claim is written, but answered with an error, as after a lost connection."""

    error: type[Exception] = VendorUnavailable

    def change(
        self, invocation: Invocation, changes: Mapping[str, Any], *, taking: WarmSandbox | None = None
    ) -> Invocation:
        changed = super().change(invocation, changes, taking=taking)
        if changes.get("status") == "running":
            raise self.error("no answer")
        return changed


@pytest.mark.parametrize("error", [VendorUnavailable, StaleWrite])
@pytest.mark.parametrize("warm", [True, False])
async def test_a_claim_that_was_written_but_not_answered_counts(
    world: World, error: type[Exception], warm: bool
) -> None:
    agent = _agent(world, 0)
    if warm:
        await world.worker().warm_up(agent)

    def unanswered(name: str, adapter: Any) -> Any:
        if name != "invocations":
            return adapter
        return Unanswered(adapter.client, adapter.name, adapter.warm, adapter.usage, error)

    queued = world.worker().invocations.submit(agent, "x")
    started = await world.worker(unanswered).starts.start(queued.invocation_id)
    assert started == ("started on a warm sandbox" if warm else "started on a new sandbox")
    assert len(world.sandboxes.alive) == 1


async def test_a_claim_that_somebody_else_won_is_theirs(world: World) -> None:
    agent = _agent(world, 0)
    queued = world.worker().invocations.submit(agent, "x")
    results = await asyncio.gather(*(world.worker().starts.start(queued.invocation_id) for _ in range(5)))
    assert sorted(results) == ["claimed already"] * 4 + ["started on a new sandbox"]
    assert world.sandboxes.calls.count("start") == 1


async def test_a_warm_sandbox_that_was_taken_and_not_started_is_killed(world: World) -> None:
    agent, worker = _agent(world, 0), world.worker()
    waiting = await worker.warm_up(agent)
    world.sandboxes.failures["start"] = [VendorUnavailable("busy")]
    invocation = await worker.call(agent)
    assert invocation.status == "completed"
    assert invocation.sandbox_id != waiting
    assert not world.sandboxes.alive


async def test_a_used_sandbox_whose_end_was_forgotten_is_killed_in_the_second_round_that_sees_it(
    world: World,
) -> None:
    agent, worker = _agent(world, 0), world.worker()
    await worker.warm_up(agent)
    await worker.call(agent)
    world.maintenance.messages.clear()
    assert len(world.sandboxes.alive) == 1
    world.clock.pass_(seconds=60)
    await worker.sweep.sweep()
    world.clock.pass_(seconds=60)
    assert await worker.sweep.sweep() == {"orphans_killed": 1}
