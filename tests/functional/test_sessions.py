"""Sessions: sandboxes that stay between invocations, over real tables and a sandbox service in memory."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import cast

import pytest

from castari.adapters.queues import Queue
from castari.errors import (
    Conflict,
    SandboxLost,
    SandboxMissing,
    SessionBusy,
    SessionEnded,
    VendorRateLimited,
    VendorUnavailable,
)
from castari.messages import EndSession, PauseSession, StartInvocation, StopAgent, TidyAgent
from castari.models import ActiveVersion, Agent, Session
from castari.services.sessions import Sessions
from tests.mortal import Slow
from tests.project import Project
from tests.unit.bundles import FILES
from tests.worker import KEEP_SESSION, Worker
from tests.world import World


def _session(worker: Worker, agent: Agent, session_id: str = "chat") -> Session:
    found: Session = worker.sessions_table.get(agent.agent_id, session_id)
    return found


async def _pause(world: World, worker: Worker, agent: Agent) -> str:
    world.clock.pass_(seconds=world.limits.session_idle_seconds)
    message = PauseSession(agent_id=agent.agent_id, session_id="chat")
    return await worker.removals.carry_out(message)


async def test_invocations_of_a_session_share_one_sandbox_and_others_do_not(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    first = await worker.call(agent, session_id="chat")
    second = await worker.call(agent, session_id="chat")
    fresh = await worker.call(agent)
    assert first.status == second.status == fresh.status == "completed"
    assert first.sandbox_id == second.sandbox_id != fresh.sandbox_id
    assert list(world.sandboxes.alive) == [first.sandbox_id]
    assert world.sandboxes.calls.count("create") == 2
    session = _session(worker, agent)
    assert (session.status, session.holder, session.invocation_count) == ("idle", None, 2)
    assert session.expires_at == world.clock() + KEEP_SESSION


async def test_a_sessions_sandbox_says_whose_it_is_and_is_paused_when_its_time_is_over(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent, session_id="chat")
    (sandbox,) = world.sandboxes.alive.values()
    assert sandbox.metadata == {
        "castari": "test",
        "kind": "session",
        "agent_id": agent.agent_id,
        "user_id": agent.user_id,
        "version_id": invocation.version_id,
        "session_id": "chat",
    }
    world.clock.pass_(seconds=invocation.timeout_seconds + 5)
    world.sandboxes.let_time_pass()
    assert sandbox.paused
    assert (await worker.call(agent, session_id="chat")).status == "completed"


async def test_a_session_can_be_started_without_an_id_of_ones_own(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    invocation = await worker.call(agent, new_session=True)
    assert invocation.session_id.startswith("sess_")
    again = await worker.call(agent, session_id=invocation.session_id)
    assert again.sandbox_id == invocation.sandbox_id


async def test_only_in_a_session_the_runner_leaves_processes_behind(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    await worker.call(agent)
    kept = [json.loads(each["CASTARI_JOB"])["keeps_processes"] for each in world.runner.environments]
    assert kept == [True, False]


async def test_a_session_is_paused_once_idle_and_resumed_on_use(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    first = await worker.call(agent, session_id="chat")
    delay = world.limits.session_idle_seconds
    assert world.maintenance.messages == [(PauseSession(agent_id=agent.agent_id, session_id="chat"), delay)]
    (sandbox,) = world.sandboxes.alive.values()
    assert await _pause(world, worker, agent) == "paused"
    assert sandbox.paused
    assert _session(worker, agent).status == "paused"
    second = await worker.call(agent, session_id="chat")
    assert second.sandbox_id == first.sandbox_id
    assert not sandbox.paused


async def test_a_session_in_use_or_used_since_is_not_paused(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    world.clock.pass_(seconds=world.limits.session_idle_seconds - 1)
    await worker.call(agent, session_id="chat")
    message = PauseSession(agent_id=agent.agent_id, session_id="chat")
    world.clock.pass_(seconds=1)
    assert await worker.removals.carry_out(message) == "in use, or used since"
    world.runner.waits = asyncio.Event().wait
    await worker.call(agent, session_id="chat", seconds=0.05)
    assert await _pause(world, worker, agent) == "in use, or used since"
    assert "pause" not in world.sandboxes.calls


async def test_the_waiting_shape_is_told_of_a_busy_session_and_leaves_no_trace(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent, worker = world.agent(), world.worker()
    running = await worker.call(agent, session_id="chat", seconds=0.05)
    with pytest.raises(SessionBusy) as refused:
        await worker.call(agent, session_id="chat")
    assert running.invocation_id in (refused.value.remedy or "")
    assert len(worker.table.list_for_agent(agent.agent_id, limit=9, offset=0)) == 1


async def test_a_queued_invocation_waits_until_its_session_is_free(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent, worker = world.agent(), world.worker()
    running = await worker.call(agent, session_id="chat", seconds=0.05)
    queued = worker.invocations.submit(agent, "next", session_id="chat")
    assert await worker.starts.start(queued.invocation_id) == "waits 1 s for its session"
    assert world.invocations.messages[-1] == (StartInvocation(invocation_id=queued.invocation_id), 1)
    assert worker.table.get(queued.invocation_id).attempt == 0
    world.runner.store(world.runner.report(world.runner.environments[0]))
    assert worker.completions.complete(running.invocation_id, 1) == "completed"
    assert await worker.starts.start(queued.invocation_id) == "started on a new sandbox"
    assert worker.table.get(queued.invocation_id).sandbox_id == running.sandbox_id


async def test_of_many_who_reach_for_a_session_at_once_one_gets_it(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent = world.agent()
    await world.worker().calls.call(agent, world.worker().invocations.draft(agent, "x", session_id="a"), 0.05)
    called = [world.worker().call(agent, session_id="chat", seconds=0.2) for _ in range(5)]
    answers = await asyncio.gather(*called, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, SessionBusy)]
    assert len(refused) == 4
    assert world.sandboxes.calls.count("create") == 2


async def test_a_session_stays_with_the_version_it_was_started_with(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    first = await worker.call(agent, session_id="chat")
    world.sandboxes.snapshots["snapshot-2"] = "castari-base"
    newer = ActiveVersion(version_id="ver_2", number=2, snapshot_id="snapshot-2")
    agent = worker.agents.update(agent, {"active_version": newer})
    second = await worker.call(agent, session_id="chat")
    assert second.version_id == first.version_id != newer.version_id
    assert (await worker.call(agent)).version_id == newer.version_id
    assert _session(worker, agent).version.number == 1


async def test_a_session_whose_sandbox_vanished_says_so_and_goes_on_saying_so(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    world.sandboxes.alive.clear()
    for _ in range(2):
        with pytest.raises(SessionEnded, match="Session cannot be resumed") as ended:
            await worker.call(agent, session_id="chat")
        assert "its sandbox is gone" in (ended.value.remedy or "")
    assert (_session(worker, agent).status, _session(worker, agent).message) == (
        "ended",
        "its sandbox is gone",
    )
    queued = worker.invocations.submit(agent, "next", session_id="chat")
    assert await worker.starts.start(queued.invocation_id) == "the session cannot be resumed"
    failure = worker.table.get(queued.invocation_id).failure
    assert failure.code == "session_ended"


async def test_an_attempt_that_left_no_report_ends_its_session_and_sandbox(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    world.runner.prints = world.runner.stores = False
    lost = await worker.call(agent, session_id="chat")
    assert lost.status == "lost"
    assert not world.sandboxes.alive
    assert "ended there as lost" in (_session(worker, agent).message or "")


async def test_a_start_that_never_came_leaves_the_session_as_it_was(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    first = await worker.call(agent, session_id="chat")
    world.sandboxes.failures["start"] = [SandboxLost("no answer")]
    queued = worker.invocations.submit(agent, "next", session_id="chat")
    assert (await worker.starts.start(queued.invocation_id)).startswith("queued again")
    assert _session(worker, agent).status == "idle"
    assert (await worker.call(agent, session_id="chat")).sandbox_id == first.sandbox_id


async def test_a_start_that_came_unheard_runs_on_in_its_session(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    world.sandboxes.unanswered = 1
    queued = worker.invocations.submit(agent, "next", session_id="chat")
    await worker.starts.start(queued.invocation_id)
    assert _session(worker, agent).status == "busy"
    world.runner.store(world.runner.report(world.sandboxes.started[-1]))
    assert worker.completions.complete(queued.invocation_id, 1) == "completed"
    assert _session(worker, agent).status == "idle"


async def test_a_start_whose_sandbox_is_gone_ends_the_session(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    world.sandboxes.failures["start"] = [SandboxLost("no answer"), SandboxMissing("gone")]
    assert (await worker.call(agent, session_id="chat")).status == "lost"
    assert not world.sandboxes.alive
    assert _session(worker, agent).status == "ended"


async def test_an_agent_that_fails_or_runs_out_of_time_keeps_its_session(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    for answer, status in (({"exit_code": 3}, "failed"), ({"timed_out": True}, "timed_out")):
        world.runner.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        assert (await worker.call(agent, session_id="chat")).status == status
        assert _session(worker, agent).status == "idle"
    assert len(world.sandboxes.alive) == 1


async def test_a_busy_sandbox_service_leaves_the_session_as_it_was(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    first = await worker.call(agent, session_id="chat")
    world.sandboxes.failures["connect"] = [VendorUnavailable("down"), VendorRateLimited("too many")]
    with pytest.raises(VendorUnavailable):
        await worker.call(agent, session_id="chat")
    queued = worker.invocations.submit(agent, "next", session_id="chat")
    assert (await worker.starts.start(queued.invocation_id)).startswith("queued again")
    assert _session(worker, agent).status == "idle"
    assert (await worker.call(agent, session_id="chat")).sandbox_id == first.sandbox_id


async def test_a_session_that_nobody_uses_expires_and_is_forgotten_later(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    world.clock.pass_(hours=24, seconds=1)
    assert (await worker.sweep.sweep())["sessions_expired"] >= 1
    assert not world.sandboxes.alive
    assert _session(worker, agent).message == "nobody used it for 24 h"
    with pytest.raises(SessionEnded):
        await worker.call(agent, session_id="chat")
    world.clock.pass_(days=7, seconds=1)
    await worker.sweep.sweep()
    assert worker.sessions.list(agent, limit=9, offset=0) == []


async def test_sweep_ends_sandboxes_that_no_session_knows_and_leaves_the_others(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    kept = await worker.call(agent, session_id="chat")
    strays = [
        await world.sandboxes.create(
            "castari-base",
            timeout_seconds=900,
            metadata={"kind": "session", "agent_id": agent.agent_id, "session_id": session_id},
            idempotency_key=session_id,
        )
        for session_id in ("chat", "never")
    ]
    world.clock.pass_(seconds=40)
    assert (await worker.sweep.sweep())["orphans_killed"] == len(strays)
    assert list(world.sandboxes.alive) == [kept.sandbox_id]


async def test_deleting_a_session_cancels_what_runs_in_it_and_frees_its_id(world: World) -> None:
    world.runner.waits = asyncio.Event().wait
    agent, worker = world.agent(), world.worker()
    running = await worker.call(agent, session_id="chat", seconds=0.05)
    worker.sessions.delete(agent, "chat")
    assert worker.sessions.list(agent, limit=9, offset=0) == []
    (message,) = [each for each, _ in world.maintenance.messages if isinstance(each, EndSession)]
    assert await worker.removals.carry_out(message) == "ended"
    assert worker.table.get(running.invocation_id).status == "cancelled"
    assert not world.sandboxes.alive
    world.runner.waits = None
    world.clock.pass_(seconds=1)
    assert (await worker.call(agent, session_id="chat")).status == "completed"
    assert await worker.removals.carry_out(message) == "gone already"
    assert len(world.sandboxes.alive) == 1


async def test_the_end_of_a_session_that_changes_at_that_moment_is_no_error(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    worker.sessions.delete(agent, "chat")
    (message,) = [each for each, _ in world.maintenance.messages if isinstance(each, EndSession)]
    session = worker.sessions_table.get(agent.agent_id, "chat")
    used = worker.sessions_table.change(session, {"status": "idle"})

    def mark() -> None:
        worker.sessions_table.change(used, {"status": "deleted"})

    slow = Slow(("sessions.change", 0), mark)
    assert await world.worker(slow.wrap).removals.carry_out(message) == "ended"
    assert slow.at is None
    assert not world.sandboxes.alive


async def test_stopping_an_agent_ends_its_sessions(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    stopped = worker.agents.update(agent, {"status": "stopped"})
    message = StopAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id)
    assert await worker.removals.carry_out(message) == "1 sandboxes ended"
    assert not world.sandboxes.alive
    started = worker.agents.update(stopped, {"status": "active"})
    with pytest.raises(SessionEnded) as ended:
        await worker.call(started, session_id="chat")
    assert "its agent was stopped" in (ended.value.remedy or "")


async def test_an_agent_has_so_many_sessions_and_no_more(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    for number in range(5):
        await worker.call(agent, session_id=f"chat-{number}")
    with pytest.raises(Conflict, match="5 sessions, which is the most"):
        await worker.call(agent, session_id="one-more")
    queued = worker.invocations.submit(agent, "hi", session_id="one-more")
    assert await worker.starts.start(queued.invocation_id) == "the agent has too many sessions"
    ended = worker.table.get(queued.invocation_id)
    assert ended.failure
    assert (ended.status, ended.failure.code) == ("failed", "too_many_sessions")
    assert "5 sessions, which is the most" in ended.failure.message
    assert "cast sessions delete" in ended.failure.remedy


async def test_a_pause_whose_worker_died_is_passed_over(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    first = await worker.call(agent, session_id="chat")
    dead = {"holder": "pausing", "held_until": world.clock()}
    worker.sessions_table.change(_session(worker, agent), dead)
    world.clock.pass_(seconds=1)
    queued = worker.invocations.submit(agent, "x", session_id="chat")
    await worker.starts.start(queued.invocation_id)
    assert worker.table.get(queued.invocation_id).sandbox_id == first.sandbox_id


async def test_a_pause_under_way_is_waited_for(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")
    minute = timedelta(seconds=60)
    held = {"holder": "pausing", "held_until": world.clock() + minute}
    pausing = worker.sessions_table.change(_session(worker, agent), held)
    calling = asyncio.create_task(worker.call(agent, session_id="chat"))
    await asyncio.sleep(0.1)
    assert not calling.done()
    worker.sessions_table.change(pausing, {"holder": None, "held_until": None, "status": "paused"})
    assert (await calling).status == "completed"


async def test_a_version_that_a_session_needs_is_kept(world: World, project: Project) -> None:
    world.versions_kept = 1
    await project.deploy()
    worker = world.worker()
    await worker.call(project.agent, session_id="chat")
    agent = project.agent
    message = TidyAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id)
    for number in (2, 3):
        await project.deploy(FILES | {"src/index.ts": f"console.log({number})"})
        await worker.removals.carry_out(message)
    assert [version.number for version in project.versions] == [3, 1]
    worker.session_ends.end_all(agent.agent_id, "enough")
    await worker.removals.carry_out(message)
    assert [version.number for version in project.versions] == [3]


async def test_a_deletion_that_is_carried_out_at_once_is_none_the_less_accepted(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.call(agent, session_id="chat")

    class Swift:
        def send(self, message: EndSession) -> None:
            with ThreadPoolExecutor(1) as pool:
                carried_out = worker.session_ends.end_deleted(message)
                assert pool.submit(asyncio.run, carried_out).result() == "ended"

    Sessions(worker.sessions_table, cast("Queue", Swift()), world.clock).delete(agent, "chat")
    assert worker.sessions.list(agent, limit=9, offset=0) == []
    assert not world.sandboxes.alive
