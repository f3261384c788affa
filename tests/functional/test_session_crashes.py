"""A worker dies at any call of an invocation in a session: nothing stays busy, doubled or alive for ever."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from castari.errors import CastariError, SessionEnded, VendorRateLimited
from castari.messages import EndSession, PauseSession, StartInvocation
from castari.models import Agent
from castari.services.invocation_states import is_terminal
from tests.mortal import SIDES, Died, Mortal
from tests.worker import Worker
from tests.world import World

Deed = Callable[[World, Worker, Agent], Awaitable[object]]


async def _first(_world: World, worker: Worker, agent: Agent) -> object:
    return await worker.call(agent, session_id="chat")


async def _again(world: World, worker: Worker, agent: Agent) -> object:
    await world.worker().call(agent, session_id="chat")
    return await worker.call(agent, session_id="chat")


async def _start(world: World, worker: Worker, agent: Agent) -> object:
    queued = world.worker().invocations.submit(agent, "later", session_id="chat")
    return await worker.starts.start(queued.invocation_id)


async def _put_back(world: World, worker: Worker, agent: Agent) -> object:
    world.sandboxes.failures["create"] = [VendorRateLimited("too many")]
    return await _start(world, worker, agent)


async def _complete(world: World, worker: Worker, agent: Agent) -> object:
    queued = world.worker().invocations.submit(agent, "later", session_id="chat")
    await world.worker().starts.start(queued.invocation_id)
    (sandbox,) = world.sandboxes.alive.values()
    world.runner.store(world.runner.report(sandbox.commands[0][1]))
    return worker.completions.complete(queued.invocation_id, 1)


async def _pause(world: World, worker: Worker, agent: Agent) -> object:
    await world.worker().call(agent, session_id="chat")
    world.clock.pass_(seconds=world.limits.session_idle_seconds)
    return await worker.removals.carry_out(PauseSession(agent_id=agent.agent_id, session_id="chat"))


async def _delete(world: World, worker: Worker, agent: Agent) -> object:
    await world.worker().call(agent, session_id="chat")
    worker.sessions.delete(agent, "chat")
    messages = [each for each, _ in world.maintenance.messages if isinstance(each, EndSession)]
    return await worker.removals.carry_out(messages[0])


async def _expire(world: World, worker: Worker, agent: Agent) -> object:
    await world.worker().call(agent, session_id="chat")
    world.clock.pass_(hours=25)
    return await worker.session_ends.expire()


DEEDS: dict[str, Deed] = {
    "first": _first,
    "again": _again,
    "start": _start,
    "put back": _put_back,
    "complete": _complete,
    "pause": _pause,
    "delete": _delete,
    "expire": _expire,
}


async def survives(world: World, deed: Deed, mortal: Mortal) -> None:
    """Do a deed with a worker that may die, and hold what must hold once everything was seen to."""
    agent = world.agent()
    world.maintenance.messages.clear()
    world.invocations.messages.clear()
    world.sandboxes.failures.clear()
    with suppress(Died, CastariError):
        await deed(world, world.worker(mortal.wrap), agent)
    worker = world.worker()
    for _ in range(3):
        await _go_on(world, worker, agent)
    rows = worker.table.list_for_agent(agent.agent_id, limit=9, offset=0)
    assert all(is_terminal(row) for row in rows), (mortal.calls, rows)
    assert all(session.status != "busy" for session in worker.sessions_table.all(agent.agent_id)), (
        mortal.calls
    )
    world.clock.pass_(seconds=61)
    with suppress(SessionEnded):
        assert (await worker.call(agent, session_id="chat")).status == "completed"
    world.clock.pass_(hours=25)
    await worker.sweep.sweep()
    ours = [each for each in world.sandboxes.alive.values() if each.metadata["agent_id"] == agent.agent_id]
    assert not ours, (mortal.calls, ours)


async def _go_on(world: World, worker: Worker, agent: Agent) -> None:
    """Deliver everything twice, let runners end and time pass, and sweep what is overdue."""
    for message, _ in [*world.maintenance.messages] * 2:
        await worker.removals.carry_out(message)  # type: ignore[arg-type]
    for started, _ in [*world.invocations.messages] * 2:
        assert isinstance(started, StartInvocation)
        await worker.starts.start(started.invocation_id)
    world.clock.pass_(seconds=world.limits.default_timeout_seconds + 45)
    world.sandboxes.let_time_pass()
    for invocation in worker.table.list_for_agent(agent.agent_id, limit=9, offset=0):
        if not is_terminal(invocation) and invocation.deadline_at < world.clock():
            await worker.sweep._ended(invocation)


@pytest.mark.parametrize("name", DEEDS)
async def test_a_worker_may_die_at_any_call_in_a_session(name: str, world: World) -> None:
    alive = Mortal()
    await survives(world, DEEDS[name], alive)
    assert alive.calls
    for at in range(len(alive.calls)):
        for side in SIDES:
            mortal = Mortal(at, side)
            await survives(world, DEEDS[name], mortal)
            assert mortal.dead, f"point {at} of {alive.calls} was never reached"
