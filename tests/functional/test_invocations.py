"""Invocations from call to answer, over real tables and a sandbox service in memory."""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from castari.adapters.tables.invocations import InvocationsTable
from castari.bootstrap import catalogue, tables
from castari.errors import Conflict, SandboxLost, SandboxMissing, VendorRateLimited, VendorUnavailable
from castari.messages import DestroySandbox, Refill, StartInvocation
from castari.models import Agent, Invocation
from tests.world import World


async def test_a_warm_sandbox_answers_with_one_call_before_the_agent_starts(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    sandbox_id = await worker.warm_up(agent)
    world.sandboxes.calls.clear()
    invocation = await worker.call(agent, "hello")
    assert (invocation.status, invocation.sandbox_id) == ("completed", sandbox_id)
    assert invocation.response == f"you said {base64.b64encode(b'hello').decode()}"
    assert world.sandboxes.calls == ["start", "set_timeout"]
    assert worker.table.get(invocation.invocation_id) == invocation


async def test_without_a_warm_sandbox_one_is_made_from_the_version(world: World) -> None:
    agent = world.agent()
    invocation = await world.worker().call(agent)
    assert invocation.status == "completed"
    assert world.sandboxes.calls == ["create", "start", "kill"]
    assert not world.sandboxes.alive


async def test_a_cold_sandbox_says_in_its_metadata_whose_it_is(world: World) -> None:
    world.runner.prints = world.runner.stores = False
    agent = world.agent()
    drafted = world.worker().invocations.draft(agent, "hi")
    launched = await world.worker().launches.launch(agent, drafted, stored=False)
    (sandbox,) = world.sandboxes.alive.values()
    assert sandbox.metadata == {
        "castari": "test",
        "kind": "run",
        "agent_id": agent.agent_id,
        "user_id": agent.user_id,
        "version_id": launched.invocation.version_id,
        "invocation_id": drafted.invocation_id,
        "attempt": "1",
    }
    assert (sandbox.ends_at - world.clock()).total_seconds() == drafted.timeout_seconds + 2
    assert sandbox.commands[0][2] == drafted.timeout_seconds + 1


async def test_a_refill_is_asked_for_after_each_start(world: World) -> None:
    agent = world.agent()
    await world.worker().call(agent)
    assert world.maintenance.messages == [(Refill(user_id=agent.user_id, slug=agent.slug), 0)]


async def test_each_warm_sandbox_is_used_once_whoever_else_reaches_for_it(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    for _ in range(3):
        await worker.warm_up(agent)
    answered = await asyncio.gather(*(world.worker().call(agent, str(n)) for n in range(6)))
    assert len({invocation.sandbox_id for invocation in answered}) == 6
    assert world.sandboxes.calls.count("create") == 6


async def test_a_warm_sandbox_that_is_gone_is_passed_over(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    gone, alive = await worker.warm_up(agent), await worker.warm_up(agent)
    for sandbox_id in (gone, alive):
        if sandbox_id == min(gone, alive):
            del world.sandboxes.alive[sandbox_id]
    invocation = await worker.call(agent)
    assert (invocation.status, invocation.attempt) == ("completed", 1)
    assert invocation.sandbox_id == max(gone, alive)
    assert invocation.version_id
    assert worker.warm.list(invocation.version_id, limit=9) == []


async def test_warm_sandboxes_past_their_time_are_not_taken(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    waiting = await worker.warm_up(agent)
    world.clock.pass_(seconds=world.limits.warm_idle_seconds)
    assert (await worker.call(agent)).sandbox_id != waiting


async def test_a_start_that_never_came_to_its_sandbox_is_made_in_another_one(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    waiting = await worker.warm_up(agent)
    world.sandboxes.failures["start"] = [SandboxLost("no answer")]
    invocation = await worker.call(agent)
    assert (invocation.status, invocation.attempt) == ("completed", 1)
    assert invocation.sandbox_id != waiting
    assert not world.sandboxes.alive


async def test_a_start_whose_sandbox_is_gone_ends_as_lost(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)

    def vanish() -> None:
        if world.sandboxes.calls.count("start") > 1:
            world.sandboxes.alive.clear()

    world.sandboxes.before["start"] = vanish
    world.sandboxes.unanswered = 1
    invocation = await worker.call(agent)
    assert invocation.failure
    assert (invocation.status, invocation.failure.code) == ("lost", "sandbox_lost")


async def test_a_sandbox_service_that_is_down_is_told_to_the_caller_and_recorded(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    world.sandboxes.failures["create"] = [VendorUnavailable("the sandbox service is down")]
    with pytest.raises(VendorUnavailable):
        await worker.call(agent)
    (recorded,) = worker.table.list_for_agent(agent.agent_id, limit=5, offset=0)
    assert (recorded.status, recorded.failure.code) == ("failed", "vendor_unavailable")


async def test_a_call_that_must_wait_for_the_sandbox_service_is_left_to_the_queue(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    world.sandboxes.failures["create"] = [VendorRateLimited("the sandbox service makes no more")]
    invocation = await worker.call(agent)
    assert (invocation.status, invocation.attempt) == ("queued", 1)
    assert world.invocations.messages == [(StartInvocation(invocation_id=invocation.invocation_id), 2)]
    assert await worker.starts.start(invocation.invocation_id) == "started on a new sandbox"


async def test_a_sandbox_that_is_not_made_in_time_leaves_the_call_to_the_queue(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    world.sandboxes.hangs = {"create"}
    invocation = await worker.call(agent, start_seconds=0.05)
    assert invocation.status == "queued"
    assert [message for message, _ in world.invocations.messages] == [
        StartInvocation(invocation_id=invocation.invocation_id)
    ]


async def test_a_start_that_is_not_confirmed_in_time_is_left_running(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    world.sandboxes.hangs = {"start"}
    invocation = await worker.call(agent, start_seconds=0.05)
    assert (invocation.status, world.invocations.messages) == ("running", [])
    world.runner.store({"invocation_id": invocation.invocation_id, "attempt": 1, "exit_code": 0})
    assert worker.completions.complete(invocation.invocation_id, 1) == "completed"


async def test_what_the_start_took_is_not_waited_for_once_more(world: World) -> None:
    world.sandboxes.before = {"create": lambda: time.sleep(0.4)}
    world.runner.waits = lambda: asyncio.sleep(0.1)
    assert (await world.worker().call(world.agent(), seconds=0.3)).status == "running"


async def test_an_agent_that_takes_longer_than_the_caller_can_wait_is_left_running(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent, seconds=0.05)
    assert invocation.status == "running"
    assert list(world.sandboxes.alive) == [invocation.sandbox_id]
    report = world.runner.report(world.runner.environments[0])
    world.runner.store(report)
    assert worker.completions.complete(invocation.invocation_id, 1) == "completed"
    assert worker.completions.complete(invocation.invocation_id, 1) == "completed already"
    assert invocation.sandbox_id
    assert (DestroySandbox(sandbox_id=invocation.sandbox_id), 0) in world.maintenance.messages


async def test_only_the_winner_of_both_roads_counts_usage(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent)
    worker.completions.complete(invocation.invocation_id, 1)
    (day,) = tables.usage_table().list(agent.user_id, world.clock().date(), world.clock().date())
    assert day.invocation_count == 1


async def test_a_result_of_a_stale_attempt_changes_nothing(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent, seconds=0.05)
    assert worker.completions.complete(invocation.invocation_id, 2) == "running already"
    assert worker.table.get(invocation.invocation_id).status == "running"


async def test_a_runner_that_ends_without_a_word_ends_as_lost(world: World) -> None:
    world.runner.prints = world.runner.stores = False
    invocation = await world.worker().call(world.agent())
    assert invocation.status == "lost"
    assert not world.sandboxes.alive


async def test_what_was_stored_counts_when_the_closing_frame_is_lost(world: World) -> None:
    world.runner.prints = False
    invocation = await world.worker().call(world.agent())
    assert invocation.status == "completed"


async def test_a_report_of_another_invocation_is_not_believed(world: World) -> None:
    world.runner.stores = False
    world.runner.answer = lambda _: {"invocation_id": "inv_of_somebody_else", "stdout": "x", "exit_code": 0}
    assert (await world.worker().call(world.agent())).status == "lost"


async def test_an_answer_too_long_for_a_row_is_read_from_where_it_was_put(world: World) -> None:
    world.runner.answer = lambda _: {"stdout_stored": True, "exit_code": 0}
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent)
    world.runner.store_answer(invocation.invocation_id, 1, "ä".encode() * 3_000_000)
    answered = worker.invocations.with_answer(worker.table.get(invocation.invocation_id))
    assert answered.truncated
    assert set(answered.response or "") == {"ä"}
    assert len((answered.response or "").encode()) == world.limits.output_inline_bytes


async def test_a_long_binary_answer_comes_back_as_base64(world: World) -> None:
    world.runner.answer = lambda _: {"stdout_stored": True, "exit_code": 0}
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent)
    world.runner.store_answer(invocation.invocation_id, 1, b"\xff\x00" * 100_000)
    answered = worker.invocations.with_answer(invocation)
    assert answered.response_is_base64
    assert base64.b64decode(answered.response or "") == b"\xff\x00" * 100_000


async def test_a_queued_invocation_starts_once_and_is_left_to_itself(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    assert world.invocations.messages == [(StartInvocation(invocation_id=queued.invocation_id), 0)]
    assert await worker.starts.start(queued.invocation_id) == "started on a new sandbox"
    assert await worker.starts.start(queued.invocation_id) == "claimed already"
    assert worker.table.get(queued.invocation_id).status == "running"
    assert world.sandboxes.calls == ["create", "start"]


async def test_without_a_sandbox_to_be_had_it_goes_back_to_the_queue(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    world.sandboxes.failures["create"] = [VendorRateLimited("too many"), VendorUnavailable("down")]
    for attempt, pause in ((1, 2), (2, 4)):
        assert (await worker.starts.start(queued.invocation_id)).startswith("queued again")
        row = worker.table.get(queued.invocation_id)
        assert (row.status, row.attempt, row.sandbox_id) == ("queued", attempt, None)
        assert world.invocations.messages[-1][1] == pause
    assert await worker.starts.start(queued.invocation_id) == "started on a new sandbox"
    assert worker.table.get(queued.invocation_id).attempt == 3


@pytest.mark.parametrize("written", [False, True])
async def test_an_attempt_that_started_nothing_is_put_back_though_the_table_is_busy(
    world: World, written: bool
) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    world.sandboxes.failures["start"] = [VendorUnavailable("busy")]
    world.invocations.messages.clear()
    busy = BusyTable(worker.table, "queued", times=1 if written else 2, written=written)
    hasty = world.worker(lambda name, adapter: busy if name == "invocations" else adapter)
    assert (await hasty.starts.start(queued.invocation_id)).startswith("queued again")
    assert busy.times == 0
    assert worker.table.get(queued.invocation_id).status == "queued"
    assert [message for message, _ in world.invocations.messages] == [
        StartInvocation(invocation_id=queued.invocation_id)
    ]


async def test_a_snapshot_that_is_gone_is_no_start(world: World) -> None:
    agent, worker = world.agent(snapshot="snapshot-9"), world.worker()
    world.sandboxes.snapshots.clear()
    with pytest.raises(SandboxMissing):
        await worker.call(agent)


async def test_an_agent_stopped_while_its_prompt_waited_says_so(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "later")
    worker.agents.update(agent, {"status": "stopped"})
    assert await worker.starts.start(queued.invocation_id) == "the agent is not active"
    row = worker.table.get(queued.invocation_id)
    assert (row.status, row.failure.code) == ("failed", "agent_not_active")


async def test_an_inactive_agent_takes_no_prompt(world: World) -> None:
    draft = world.agent(active_version=None, status="draft")
    with pytest.raises(Conflict, match="Agent not active"):
        await world.worker().call(draft)


@pytest.mark.parametrize(
    ("secrets", "key"),
    [
        ({}, "platform-key"),
        ({"ANTHROPIC_API_KEY": "own-key"}, "own-key"),
        ({"ANTHROPIC_BASE_URL": "https://elsewhere.example"}, None),
    ],
)
async def test_the_platforms_key_goes_only_where_the_platform_sends_it(
    world: World, secrets: dict[str, str], key: str | None
) -> None:
    agent = _with_secrets(world, secrets)
    await world.worker().call(agent)
    (environment,) = world.runner.environments
    assert environment.get("ANTHROPIC_API_KEY") == key


async def test_a_changed_secret_is_seen_by_the_next_invocation(world: World) -> None:
    agent = _with_secrets(world, {"COLOUR": "red"})
    await world.worker().call(agent)
    await world.worker().call(_with_secrets(world, {"COLOUR": "blue"}, agent))
    assert [environment["COLOUR"] for environment in world.runner.environments] == ["red", "blue"]


async def test_a_long_prompt_rides_by_url_and_a_short_one_in_the_environment(world: World) -> None:
    worker, agent = world.worker(), world.agent()
    await worker.call(agent, "short")
    await worker.call(agent, "x" * 100_000)
    short, long = world.runner.environments
    assert base64.b64decode(short["CASTARI_PROMPT"]) == b"short"
    assert json.loads(short["CASTARI_JOB"])["prompt_url"] is None
    assert "CASTARI_PROMPT" not in long
    assert "Signature" in json.loads(long["CASTARI_JOB"])["prompt_url"]


class BusyTable:
    """The invocations table, which fails at the next changes to one status, or does not answer them."""

    def __init__(self, table: InvocationsTable, status: str, *, times: int, written: bool) -> None:
        self._table, self._status, self.times, self._written = table, status, times, written

    def change(self, invocation: Invocation, changes: Mapping[str, object], **more: Any) -> Invocation:
        if changes.get("status") == self._status and self.times:
            self.times -= 1
            if self._written:
                self._table.change(invocation, changes, **more)
            raise VendorUnavailable("DynamoDB is busy")
        return self._table.change(invocation, changes, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def _with_secrets(world: World, values: dict[str, str], agent: Agent | None = None) -> Agent:
    agent = agent or world.agent()
    for key, value in values.items():
        catalogue.secrets().set(agent.user_id, agent.slug, key, SecretStr(value))
    return tables.agents_table().get(agent.user_id, agent.slug)


async def test_what_an_agent_says_it_used_is_kept_and_counted_once(world: World) -> None:
    used = {"input_tokens": 12, "output_tokens": 3, "cost_micro_dollars": 400}
    world.runner.answer = lambda _: {
        "stdout": "x",
        "exit_code": 0,
        "usage": used,
        "agent_milliseconds": 31,
    }
    agent, worker = world.agent(), world.worker()

    async def passes() -> None:
        world.clock.pass_(seconds=1)

    world.runner.waits = passes
    invocation = await worker.call(agent)
    await worker.call(agent, session_id="chat")
    assert (invocation.input_tokens, invocation.cost_micro_dollars) == (12, 400)
    assert invocation.run_milliseconds == 31
    worker.completions.complete(invocation.invocation_id, 1)
    (day,) = tables.usage_table().list(agent.user_id, world.clock().date(), world.clock().date())
    assert (day.invocation_count, day.input_tokens, day.output_tokens) == (2, 24, 6)
    assert day.cost_micro_dollars == 800
