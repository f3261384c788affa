"""The log of an invocation: what is known of it, however it ended, and to its owner alone."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import boto3
import pytest

from castari.adapters.results import log_key
from castari.bootstrap import results, tables
from castari.errors import CastariError, NotFound
from castari.models import Agent, Invocation
from castari.schemas.invocations import InvocationResponse
from castari.services.logs import Log
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")
TOLD = [("agent_started", 2), ("stdin_closed", 3), ("agent_exited", 40)]


def _report(world: World, *, took: float = 0.1, **more: Any) -> None:
    """Let the runner tell of a run that took so many seconds."""
    began = round(world.clock().timestamp() * 1000) + 20

    async def passes() -> None:
        world.clock.pass_(seconds=took)

    world.runner.waits = passes
    events = [{"name": name, "at_milliseconds": at} for name, at in TOLD]
    told = {"agent_milliseconds": 50, "began_at_milliseconds": began, "events": events, "exit_code": 0}
    world.runner.answer = lambda _: {"stdout": "x"} | told | more


def _log(agent: Agent, invocation: Invocation) -> Log:
    return results.logs().read(agent, invocation.invocation_id)


def _names(log: Log) -> list[str]:
    times = [event.at for event in log.events]
    assert times == sorted(times)
    return [event.event for event in log.events]


def _shown(invocation: Invocation) -> dict[str, Any]:
    row = tables.invocations_table().get(invocation.invocation_id)
    return InvocationResponse.of_invocation(row).model_dump()


def _store(stack: dict[str, str], invocation: Invocation, content: bytes) -> None:
    key = log_key(invocation.invocation_id, 1)
    boto3.client("s3").put_object(Bucket=stack["RESULT_BUCKET"], Key=key, Body=content)


async def test_a_log_tells_what_happened_in_its_order_and_holds_stderr(world: World) -> None:
    _report(world, stderr="reason\n", stderr_bytes=7, exit_code=3)
    agent = world.agent()
    done = await world.worker().call(agent)
    log = _log(agent, done)
    assert _names(log) == [
        "accepted", "attempt_started", "agent_started", "stdin_closed", "agent_exited", "ended",
    ]  # fmt: skip
    assert (log.stderr, log.truncated, log.notice) == ("reason\n", False, None)
    assert log.events[4].detail == "exit code 3"
    assert (log.events[5].detail or "").startswith("failed: the agent ended with exit code 3: reason")
    assert log.events[2].at - done.created_at == timedelta(milliseconds=22)


async def test_a_duration_is_told_in_parts_that_make_up_the_whole(world: World) -> None:
    _report(world)
    agent = world.agent()
    shown = _shown(await world.worker().call(agent))
    assert (shown["queue_ms"], shown["start_ms"], shown["run_ms"], shown["finish_ms"]) == (0, 20, 50, 30)
    assert (shown["duration_ms"], shown["sandbox_seconds"]) == (100, 0.1)


async def test_what_waited_in_the_queue_and_in_a_session_is_told_in_the_same_parts(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "hi", session_id="chat")
    world.clock.pass_(seconds=3)
    _report(world)
    await worker.starts.start(queued.invocation_id)
    world.clock.pass_(seconds=0.1)
    world.runner.store(world.runner.report(world.sandboxes.started[-1]))
    worker.completions.complete(queued.invocation_id, 1)
    shown = _shown(queued)
    assert (shown["queue_ms"], shown["start_ms"], shown["run_ms"], shown["finish_ms"]) == (3000, 20, 50, 30)


async def test_long_stderr_is_read_from_the_store_whole_and_in_parts(
    world: World, stack: dict[str, str]
) -> None:
    content = "".join(f"line {number}: ä\n" for number in range(40_000)).encode()
    _report(world, stderr=content[-9:].decode(), stderr_bytes=len(content), stderr_stored_bytes=len(content))
    agent = world.agent()
    done = await world.worker().call(agent)
    _store(stack, done, content)
    log = _log(agent, done)
    assert (log.stderr.encode(), log.truncated, log.notice) == (content, False, None)


async def test_of_stderr_beyond_the_cap_the_end_is_there_and_it_is_said(
    world: World, stack: dict[str, str]
) -> None:
    cut = [{"name": "stderr_full", "at_milliseconds": 5}]
    _report(world, stderr="end", stderr_bytes=90_000, stderr_stored_bytes=50_001, events=cut)
    agent = world.agent()
    done = await world.worker().call(agent)
    _store(stack, done, "é".encode()[1:] + b"x" * 50_000)
    log = _log(agent, done)
    assert (log.stderr, log.stderr_is_base64, log.truncated) == ("x" * 50_000, False, True)
    assert log.notice == "it printed more than is kept: this is the end of it"


async def test_stderr_that_is_no_text_comes_in_base64(world: World, stack: dict[str, str]) -> None:
    content = b"\xff\x00" * 30_000
    _report(world, stderr="?", stderr_bytes=len(content), stderr_stored_bytes=len(content))
    agent = world.agent()
    done = await world.worker().call(agent)
    _store(stack, done, content)
    log = _log(agent, done)
    assert log.stderr_is_base64
    assert base64.b64decode(log.stderr) == content


async def test_a_log_always_fits_into_an_answer(world: World, stack: dict[str, str]) -> None:
    content = b"\x01" * 2_000_000 + b"the end"
    _report(world, stderr="end", stderr_bytes=len(content), stderr_stored_bytes=len(content))
    agent = world.agent()
    done = await world.worker().call(agent)
    _store(stack, done, content)
    log = _log(agent, done)
    assert log.truncated
    assert log.stderr.endswith("\x01the end")
    assert 100_000 < len(log.stderr) < 900_000


async def test_of_a_log_that_was_kept_long_enough_the_end_is_left(world: World) -> None:
    _report(world, stderr="the end", stderr_bytes=90_000, stderr_stored_bytes=90_000)
    agent = world.agent()
    done = await world.worker().call(agent)
    log = _log(agent, done)
    assert (log.stderr, log.truncated) == ("the end", True)
    assert log.notice == "its log is older than logs are kept: this is its end"


async def test_a_log_of_what_runs_says_where_to_read_along(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent = world.agent()
    open_ = await world.worker().call(agent, seconds=0.05)
    assert open_.status == "running"
    log = _log(agent, open_)
    assert _names(log) == ["accepted", "attempt_started"]
    assert "/output?stream=stderr" in (log.notice or "")
    assert _shown(open_)["sandbox_seconds"] is None


async def test_a_lost_or_cancelled_invocation_says_that_nothing_was_handed_in(world: World) -> None:
    world.runner.prints = world.runner.stores = False
    agent, worker = world.agent(), world.worker()
    lost, cancelled = (worker.invocations.submit(agent, "hi") for _ in range(2))
    for each in (lost, cancelled):
        await worker.starts.start(each.invocation_id)
    worker.cancels.cancel(agent, cancelled.invocation_id)
    world.clock.pass_(seconds=200)
    await worker.sweep.sweep()
    for each, status in ((lost, "lost"), (cancelled, "cancelled")):
        log = _log(agent, each)
        assert _names(log) == ["accepted", "attempt_started", "ended"]
        assert (log.status, log.stderr) == (status, "")
        assert log.notice == (
            "its sandbox ended before it handed in its log: what the agent printed is not known"
        )
        shown = _shown(each)
        assert (shown["start_ms"], shown["run_ms"], shown["finish_ms"]) == (None, None, None)
        assert shown["sandbox_seconds"] == shown["duration_ms"] / 1000


async def test_what_was_cancelled_in_the_queue_was_there_all_the_time(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    queued = worker.invocations.submit(agent, "hi")
    world.clock.pass_(seconds=7)
    worker.cancels.cancel(agent, queued.invocation_id)
    shown = _shown(queued)
    assert (shown["queue_ms"], shown["duration_ms"], shown["sandbox_seconds"]) == (7000, 0, 0)
    assert (shown["start_ms"], shown["run_ms"], shown["finish_ms"]) == (0, 0, 0)
    assert _log(agent, queued).notice == "nothing was started, so nothing was printed"


async def test_an_attempt_that_was_lost_is_in_the_log_of_the_next_and_its_sandbox_counts(
    world: World,
) -> None:
    world.runner.prints = world.runner.stores = False
    agent = world.agent()
    assert agent.active_version
    retrying = agent.active_version.model_copy(update={"retries": 1})
    agent = tables.agents_table().update(agent, {"active_version": retrying})
    worker = world.worker()
    queued = worker.invocations.submit(agent, "hi")
    await worker.starts.start(queued.invocation_id)
    world.clock.pass_(seconds=200)
    await worker.sweep.sweep()
    world.clock.pass_(seconds=5)
    _report(world)
    await worker.starts.start(queued.invocation_id)
    world.clock.pass_(seconds=0.1)
    world.runner.store(world.runner.report(world.sandboxes.started[-1]))
    worker.completions.complete(queued.invocation_id, 2)
    assert _names(_log(agent, queued))[:4] == [
        "accepted", "attempt_started", "attempt_lost", "attempt_started",
    ]  # fmt: skip
    shown = _shown(queued)
    assert (shown["status"], shown["queue_ms"], shown["duration_ms"]) == ("completed", 205_000, 100)
    assert shown["sandbox_seconds"] == 200.1


async def test_a_refused_start_is_all_start(world: World) -> None:
    agent = world.agent()
    world.sandboxes.snapshots.clear()
    with pytest.raises(CastariError):
        await world.worker().call(agent)
    (row,) = tables.invocations_table().list_for_agent(agent.agent_id, limit=1, offset=0)
    assert (row.status, row.start_milliseconds, row.run_milliseconds) == (
        "failed", row.duration_milliseconds, 0,
    )  # fmt: skip


async def test_a_log_is_its_owners(world: World) -> None:
    agent, other = world.agent(), world.agent()
    done = await world.worker().call(agent)
    with pytest.raises(NotFound):
        _log(other, done)


async def test_logs_go_with_their_agent(world: World, stack: dict[str, str]) -> None:
    agent, worker = world.agent(), world.worker()
    done = await worker.call(agent)
    _store(stack, done, b"log")
    worker.results.delete(done)
    with pytest.raises(NotFound):
        worker.results.read(log_key(done.invocation_id, 1), limit_bytes=10)
