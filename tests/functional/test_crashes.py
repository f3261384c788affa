"""A worker dies before or after any call to the outside; whatever is left ends in one result and no sandbox.

The calls are found by running once without a crash; then one run dies at each of them. Afterwards queues and
buckets tell everything twice, in no order and late, time passes, and sweep makes its rounds.
"""

from collections.abc import Callable

import pytest

from tests.functional.plots import CASES, PLOTS, survives_plot
from tests.functional.test_deploy_crashes import HALFWAY, tell_of_a_deploy
from tests.functional.test_session_crashes import DEEDS, survives
from tests.mortal import SIDES, Mortal, Slow, outside_methods
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")


@pytest.mark.parametrize(
    ("name", "warm"),
    [(name, warm) for name in ("call", "start", "complete", "sweep") for warm in PLOTS[name].warm],
)
async def test_a_worker_may_go_on_when_everything_is_over(name: str, world: World, warm: bool) -> None:
    alive = Mortal()
    lives = PLOTS[name].runner_lives[0]
    await survives_plot(world, name, alive, warm=warm, runner_lives=lives)
    for at in alive.points:
        slow = Slow(at, lambda: None)
        await survives_plot(world, name, slow, warm=warm, runner_lives=lives)
        assert slow.at is None, f"{at} of {alive.calls} was never reached"


@pytest.mark.parametrize(("name", "warm", "runner_lives"), CASES)
async def test_a_worker_may_die_at_any_call(
    name: str, world: World, warm: bool, runner_lives: bool, tell: Callable[[str], None]
) -> None:
    alive = Mortal()
    await survives_plot(world, name, alive, warm=warm, runner_lives=runner_lives)
    points = [(at, side) for at in alive.points for side in SIDES]
    for at, side in points:
        mortal = Mortal(at, side)
        await survives_plot(world, name, mortal, warm=warm, runner_lives=runner_lives)
        assert mortal.dead, f"{at} of {alive.calls} was never reached"
    tell(f"{name}: died at {len(points)} points: {', '.join(dict.fromkeys(alive.calls))}")


ELSEWHERE = {
    "AgentsTable.create": "api: a request that its client makes again",
    "AgentsTable.delete": "api",
    "AgentsTable.list": "api",
    "AgentsTable.update_checked": "api: roll back",
    "ApiKeysTable.count_request": "admission",
    "ApiKeysTable.create": "api",
    "ApiKeysTable.delete": "api",
    "ApiKeysTable.list": "api",
    "BuildLogsTable.read": "api",
    "BundleBucket.put": "api",
    "DeletionsTable.list": "api",
    "InvocationBatchesTable.delete": "api: a batch that AWS took half of",
    "InvocationsTable.status": "api: wait for an end",
    "Queue.release": "queue consumers, of a message that failed: it comes again by itself",
    "ResultBucket.read_part": "api and invoke: show output",
    "SecretStore.release": "secrets",
    "SecretStore.write": "secrets",
    "UsageTable.add": "a finish among many at once",
    "UsageTable.list": "api",
    "UsersTable.create_if_missing": "the operator's command line",
    "UsersTable.get": "api",
}
"""Whose the methods are that no plot calls; one of `invoke`, `start`, `complete`, `sweep` needs a plot."""


async def test_every_way_to_the_outside_was_cut(world: World, tell: Callable[[str], None]) -> None:
    cut: set[str] = set()
    for name, warm, lives in CASES:
        alive = Mortal()
        await survives_plot(world, name, alive, warm=warm, runner_lives=lives)
        cut |= set(alive.methods)
    for redeploy in (False, True):
        alive = Mortal()
        await tell_of_a_deploy(world, alive, redeploy=redeploy)
        cut |= set(alive.methods)
    for deed in DEEDS.values():
        alive = Mortal()
        await survives(world, deed, alive)
        cut |= set(alive.methods)
    heir = Mortal()
    await tell_of_a_deploy(world, Mortal(HALFWAY, "after"), redeploy=False, successor=heir.wrap)
    cut |= set(heir.methods)
    missing = outside_methods() - cut
    tell(f"{len(cut)} methods cut before and after: {', '.join(sorted(cut))}")
    assert missing == ELSEWHERE.keys(), sorted(missing ^ ELSEWHERE.keys())
