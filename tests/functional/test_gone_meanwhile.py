"""A message about what is gone, or goes while it is carried out, does nothing and is no error.

Each message is carried out once to find its calls to the outside; then its agent is deleted, with all it has,
right before each of them. A message that failed would come twice more and end among the dead letters.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from castari.bootstrap import tables
from castari.messages import (
    CheckDeploy,
    DeployBundle,
    EndSession,
    Message,
    PauseSession,
    StartInvocation,
)
from castari.models import Agent, Invocation
from tests.functional import wishes
from tests.mortal import Mortal, Slow, in_a_thread
from tests.project import Project
from tests.unit.bundles import FILES
from tests.worker import Worker
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")
_SESSION = "chat"


class Household:
    """An agent with two versions, a warm sandbox, a session, and an invocation of each kind."""

    def __init__(self, world: World, project: Project) -> None:
        self.world, self.project = world, project
        self.agent: Agent
        self.running: Invocation
        self.unbegun: DeployBundle

    async def begin(self) -> "Household":
        for number in range(2):
            await self.project.deploy(FILES | {"src/index.ts": f"version {number}"})
        self.agent = self.project.agent
        worker = self.world.worker()
        await worker.call(self.agent, session_id=_SESSION)
        self.running = await self.started()
        await worker.warm_up(self.agent)
        self.world.clock.pass_(seconds=self.world.limits.session_idle_seconds)
        self.unbegun = self.project.request("bundles/x").model_copy(update={"attempt": 2})
        return self

    async def started(self) -> Invocation:
        worker = self.world.worker()
        queued = worker.invocations.submit(self.agent, "later")
        await worker.starts.start(queued.invocation_id)
        return tables.invocations_table().get(queued.invocation_id)

    async def delete(self) -> None:
        """Delete the agent, and have all that it has removed."""
        worker = self.world.worker()
        if tables.agents_table().find(self.agent.agent_id):
            worker.agents.delete(self.agent)
        await worker.removals.carry_out(wishes.delete(self.agent, self.world.clock()))

    def left(self) -> dict[str, object]:
        """Return whatever is left of the agent."""
        worker, agent_id = self.world.worker(), self.agent.agent_id
        alive = self.world.sandboxes.alive.items()
        return {
            "agent": tables.agents_table().find(agent_id),
            "sandboxes": [name for name, each in alive if each.metadata["agent_id"] == agent_id],
            "offers": [each.sandbox_id for each in worker.warm.all() if each.agent_id == agent_id],
            "versions": list(worker.versions.all(agent_id)),
            "sessions": list(worker.sessions_table.all(agent_id)),
            "invocations": worker.table.list_for_agent(agent_id, limit=9, offset=0),
        }


def _destroy(house: Household) -> Message:
    return wishes.destroy(house.running)


def _replace(house: Household) -> Message:
    return wishes.replace(house.agent, house.running)


def _refill(house: Household) -> Message:
    return wishes.refill(house.agent)


def _refill_empty(house: Household) -> Message:
    """Of a pool that has to be filled."""
    worker = house.world.worker()
    for warm in list(worker.warm.all()):
        assert worker.warm.take(warm)
        del house.world.sandboxes.alive[warm.sandbox_id]
    return _refill(house)


def _pause(house: Household) -> Message:
    return PauseSession(agent_id=house.agent.agent_id, session_id=_SESSION)


def _end(house: Household) -> Message:
    session = house.world.worker().sessions_table.get(house.agent.agent_id, _SESSION)
    return EndSession(agent_id=house.agent.agent_id, session_id=_SESSION, created_at=session.created_at)


def _stop(house: Household) -> Message:
    house.world.worker().agents.update(house.agent, {"status": "stopped"})
    return wishes.stop(house.agent)


def _delete(house: Household) -> Message:
    return wishes.delete(house.agent, house.world.clock())


def _check_unbegun(house: Household) -> Message:
    """Of a deploy whose workers died before they wrote a version."""
    return CheckDeploy(agent_id=house.agent.agent_id, request=house.unbegun)


def _check_interrupted(house: Household) -> Message:
    """Of a deploy whose worker died in the middle."""
    worker = house.world.worker()
    numbered = worker.switches.next_number(house.agent, house.unbegun.requested_at)
    worker.versions.create(worker.claims.first(house.agent, house.unbegun, numbered.number))
    house.world.clock.pass_(seconds=house.world.limits.deploy_lease_seconds + 1)
    return _check_unbegun(house)


def _tidy(house: Household) -> Message:
    return wishes.tidy(house.agent)


def _start(house: Household) -> Message:
    queued = house.world.worker().invocations.submit(house.agent, "later")
    return StartInvocation(invocation_id=queued.invocation_id)


MESSAGES: dict[str, Callable[[Household], Message]] = {
    "destroy": _destroy,
    "replace": _replace,
    "refill": _refill,
    "refill empty": _refill_empty,
    "pause": _pause,
    "end": _end,
    "stop": _stop,
    "delete": _delete,
    "check unbegun": _check_unbegun,
    "check interrupted": _check_interrupted,
    "tidy": _tidy,
    "start": _start,
}


def carry_out(worker: Worker, message: Message) -> Awaitable[str]:
    if isinstance(message, StartInvocation):
        return worker.starts.carry_out(message)
    return worker.removals.carry_out(message)  # type: ignore[arg-type]


async def settle_in(world: World) -> Household:
    world.versions_kept = 1
    return await Household(world, Project(world, world.worker())).begin()


@pytest.mark.parametrize("kind", MESSAGES)
async def test_an_agent_may_be_deleted_at_any_call(kind: str, world: World) -> None:
    alive = Mortal()
    house = await settle_in(world)
    await carry_out(world.worker(alive.wrap), MESSAGES[kind](house))
    assert alive.points
    for at in alive.points:
        house = await settle_in(world)
        slow = Slow(at, lambda: None)
        slow.meanwhile = partial(in_a_thread, house.delete)
        message = MESSAGES[kind](house)
        result = await carry_out(world.worker(slow.wrap), message)
        assert slow.at is None, f"{at} of {alive.calls} was never reached"
        assert not any(house.left().values()), (at, result, house.left())
        await carry_out(world.worker(), message)
        assert not any(house.left().values()), (at, house.left())
