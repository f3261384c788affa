"""A deploy's worker dies before or after any call to the outside; another one ends it, or says why not.

The calls are found by running once without a crash; then one run dies at each of them.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from castari.errors import CastariError
from castari.messages import CheckDeploy, DeployBundle
from castari.services.claims import MOST_ATTEMPTS
from castari.services.deploys import DeployAbandoned
from tests.mortal import SIDES, Died, Mortal, Point
from tests.project import Project
from tests.unit.bundles import FILES
from tests.worker import Wrap
from tests.world import World

LOCKED = FILES | {"package.json": '{"dependencies": {"a": "1"}}', "package-lock.json": "{}"}
CHANGED = LOCKED | {"src/index.ts": "changed"}
HALFWAY: Point = ("sandboxes.snapshot", 0)
"""Where a worker leaves the most behind: a sandbox, and a snapshot that no row knows."""
REDELIVERY = timedelta(hours=1, minutes=6)


class Story:
    """One agent, one deploy of which a worker dies, and everything that happens then."""

    def __init__(self, world: World, *, redeploy: bool) -> None:
        self.world, self.redeploy = world, redeploy
        self.project = Project(world, world.worker())
        self.request: DeployBundle
        self.took: timedelta

    async def tell(self, wrap: Wrap, successor: Wrap | None) -> None:
        """Let a worker begin; where it dies, time passes and its messages find other workers."""
        if self.redeploy:
            await self.project.deploy(LOCKED)
        self.world.maintenance.messages.clear()
        self.world.deploys.messages.clear()
        self.request = self.project.request(self.project.put(CHANGED))
        await self._deploy(self.request, wrap)
        if not self.world.maintenance.messages:
            # It died before it had somebody look after it: then only the queue itself knows.
            await self._deploy(self.request, successor)
        while self.world.maintenance.messages:
            self.world.clock.pass_(seconds=self.world.limits.deploy_lease_seconds + 6)
            self.world.sandboxes.let_time_pass()
            await self._deliver(successor)
        self.took = self.world.clock() - self.request.requested_at
        # Who died between taking a warm sandbox and ending it leaves it to sweep, which looks twice.
        self.world.clock.pass_(seconds=self.world.limits.warm_idle_seconds + 60)
        sweep = self.world.worker().sweep
        await sweep.sweep()
        self.world.clock.pass_(seconds=60)
        await sweep.sweep()

    async def redeliver(self) -> None:
        """The queue delivers the first message again, long after."""
        self.world.clock.pass_(seconds=REDELIVERY.total_seconds())
        self.world.sandboxes.let_time_pass()
        await self._deploy(self.request, None)
        await self.world.worker().sweep.sweep()

    async def _deliver(self, successor: Wrap | None) -> None:
        maintenance, self.world.maintenance.messages = self.world.maintenance.messages, []
        worker = self.world.worker()
        await worker.sweep.sweep()
        for message, _ in maintenance:
            # Twice, as queues do.
            await worker.removals.carry_out(message)  # type: ignore[arg-type]
            if not isinstance(message, CheckDeploy):
                await worker.removals.carry_out(message)  # type: ignore[arg-type]
        deploys, self.world.deploys.messages = self.world.deploys.messages, []
        for request, _ in deploys:
            assert isinstance(request, DeployBundle)
            await self._deploy(request, successor)

    async def _deploy(self, request: DeployBundle, wrap: Wrap | None) -> None:
        worker = self.world.worker(wrap) if wrap else self.world.worker()
        try:
            await worker.deploys.deploy(request)
        except (Died, CastariError):
            return

    def check(self, calls: list[str]) -> str:
        """Return how the deploy ended; nothing may be left of what it did not need."""
        agent, versions = self.project.agent, self.project.versions
        assert agent.status != "deploying", calls
        ours = [version for version in versions if version.request_id == self.request.request_id]
        assert len(ours) == 1, (calls, ours)
        (version,) = ours
        assert version.status in {"ready", "failed"}, (calls, version)
        if version.status == "failed":
            assert "deploy again" in str(version.message)
            assert "deploy again" in str(agent.status_message)
        else:
            assert agent.active_version
            assert (agent.status, agent.active_version.version_id) == ("active", version.version_id)
        self._check_sandboxes(calls)
        return version.status

    def _check_sandboxes(self, calls: list[str]) -> None:
        agent, service = self.project.agent, self.world.sandboxes
        alive = [each for each in service.alive.values() if each.metadata["agent_id"] == agent.agent_id]
        assert not [each for each in alive if each.metadata["kind"] == "build"], (calls, alive)
        active = agent.active_version.version_id if agent.active_version else None
        stray = [each.metadata for each in alive if each.metadata["version_id"] != active]
        assert not stray, (len(calls), calls[-1], stray, active)

    def orphans(self) -> set[str]:
        """Return snapshots that no version knows."""
        known = {
            name
            for version in self.project.versions
            for name in (version.snapshot_id, version.dependencies_snapshot_id)
        }
        return {name for name in self.world.sandboxes.sources if name not in known}


@pytest.fixture(params=[False, True], ids=["first", "redeploy"])
def redeploy(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def tell_of_a_deploy(world: World, mortal: Mortal, *, redeploy: bool, successor: Any = None) -> Story:
    """Deploy with a worker that dies somewhere, and have its messages find others until it is done."""
    world.sandboxes.sources.clear()
    story = Story(world, redeploy=redeploy)
    await story.tell(mortal.wrap, successor)
    limits = world.limits
    deadline = MOST_ATTEMPTS * (limits.deploy_timeout_seconds + limits.deploy_lease_seconds)
    assert story.took.total_seconds() <= deadline, mortal.calls
    return story


async def test_a_deploys_worker_may_die_at_any_call(
    world: World, redeploy: bool, tell: Callable[[str], None]
) -> None:
    alive = Mortal()
    story = await tell_of_a_deploy(world, alive, redeploy=redeploy)
    assert story.check(alive.calls) == "ready"
    points = [(at, side) for at in range(len(alive.calls)) for side in SIDES]
    lost: list[str] = []
    for at, side in points:
        mortal = Mortal(at, side)
        story = await tell_of_a_deploy(world, mortal, redeploy=redeploy)
        assert mortal.dead, f"point {at} of {alive.calls} was never reached"
        assert story.check(mortal.calls) == "ready", (mortal.calls, story.project.versions)
        lost += [f"{side} {mortal.calls[at]}"] * bool(story.orphans())
        await story.redeliver()
        assert story.check(mortal.calls) == "ready", mortal.calls
    calls = ", ".join(dict.fromkeys(alive.calls))
    tell(f"died at {len(points)} points: {calls}; snapshots left at: {lost or 'none'}")
    assert not lost


async def test_a_deploy_of_which_two_workers_die_is_given_up_and_says_so(world: World) -> None:
    alive = Mortal()
    await tell_of_a_deploy(world, alive, redeploy=False)
    ends = set()
    for at in range(alive.calls.index("maintenance.send") + 1, len(alive.calls)):
        story = await tell_of_a_deploy(world, Mortal(at), redeploy=False, successor=Mortal(at).wrap)
        ends.add(story.check(alive.calls[: at + 1]))
    assert ends == {"ready", "failed"}


@pytest.mark.parametrize("side", SIDES)
async def test_who_clears_up_after_a_dead_worker_may_die_of_it_too(world: World, side: str) -> None:
    heir = Mortal()
    story = await tell_of_a_deploy(world, Mortal(HALFWAY, "after"), redeploy=False, successor=heir.wrap)
    assert story.check(heir.calls) == "ready"
    clearing = [point for point in heir.points if point[0].endswith(("snapshots_of", "delete_snapshot"))]
    assert clearing
    for point in clearing:
        dying = Mortal(point, side)
        story = await tell_of_a_deploy(world, Mortal(HALFWAY, "after"), redeploy=False, successor=dying.wrap)
        assert dying.dead
        assert story.check(dying.calls) == "failed"


async def test_a_deploy_that_was_given_up_goes_to_the_dead_letters(world: World) -> None:
    at = (await _alive(world)).calls.index("sandboxes.create")
    story = await tell_of_a_deploy(world, Mortal(at), redeploy=False, successor=Mortal(at).wrap)
    assert story.check([]) == "failed"
    with pytest.raises(DeployAbandoned):
        await world.worker().deploys.deploy(story.request)


async def _alive(world: World) -> Mortal:
    mortal = Mortal()
    await tell_of_a_deploy(world, mortal, redeploy=False)
    return mortal
