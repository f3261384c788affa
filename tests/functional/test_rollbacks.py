"""Back to an earlier version, and how many of them are kept."""

from typing import Any

import pytest

from castari.bootstrap import stores, tables
from castari.errors import Conflict, NotFound, StaleWrite
from castari.messages import TidyAgent
from castari.models import Version
from castari.services.switches import Switches
from tests.functional.conftest import Account
from tests.project import Project
from tests.unit.bundles import FILES
from tests.world import World

LOCKED = FILES | {"package.json": '{"dependencies": {"a": "1"}}', "package-lock.json": "{}"}


async def _deploy(project: Project, count: int, files: dict[str, str] = FILES) -> list[Version]:
    """Deploy so often, each time something else; return the versions, oldest first."""
    for number in range(len(project.versions), len(project.versions) + count):
        await project.deploy(files | {"src/index.ts": f"console.log({number})"})
    return project.versions[::-1]


async def _tidy(world: World, project: Project) -> None:
    for message, _ in world.maintenance.messages:
        if isinstance(message, TidyAgent):
            await project.worker.removals.carry_out(message)


@pytest.mark.parametrize("by_id", [False, True])
async def test_an_earlier_version_serves_again_without_a_build(
    world: World, project: Project, by_id: bool
) -> None:
    first, second = await _deploy(project, 2)
    world.sandboxes.calls.clear()
    agent = project.agent
    wanted = first.version_id if by_id else 1
    answered = project.worker.rollbacks.roll_back(agent.user_id, agent.slug, wanted)
    assert answered.active_version == project.agent.active_version
    assert project.agent.active_version
    assert project.agent.active_version.snapshot_id == first.snapshot_id
    assert (project.agent.status, project.agent.source_hash) == ("active", first.source_hash)
    assert world.sandboxes.calls == []
    await _tidy(world, project)
    assert not project.worker.warm.list(second.version_id, limit=9)
    assert len(project.worker.warm.list(first.version_id, limit=9)) == 1
    assert (await project.worker.call(project.agent)).version_id == first.version_id


async def test_a_rollback_comes_after_the_deploys_that_are_under_way(world: World, project: Project) -> None:
    await _deploy(project, 2)
    agent = project.agent

    async def roll_back() -> None:
        project.worker.rollbacks.roll_back(agent.user_id, agent.slug, 1)

    world.runner.build_waits = roll_back
    assert await project.deploy(FILES | {"src/index.ts": "third"}) == "superseded"
    assert project.agent.active_version
    assert (project.agent.active_version.number, project.agent.status) == (1, "active")
    world.runner.build_waits = None
    assert await project.deploy(FILES | {"src/index.ts": "fourth"}) == "active as version 4"


async def test_the_bundle_of_a_version_gone_back_to_needs_no_build(project: Project) -> None:
    await project.deploy()
    await project.deploy(FILES | {"src/index.ts": "second"})
    project.worker.rollbacks.roll_back(project.agent.user_id, project.agent.slug, 1)
    assert await project.deploy() == "nothing changed"


async def test_only_what_was_built_and_is_kept_can_serve(world: World, project: Project) -> None:
    await project.deploy()
    await project.deploy(b"no archive")
    agent = project.agent
    for wanted, error, said in (
        (2, Conflict, "version 2 was never built"),
        (3, NotFound, "Version not found"),
        ("ver_none", NotFound, "Version not found"),
    ):
        with pytest.raises(error, match=said):
            project.worker.rollbacks.roll_back(agent.user_id, agent.slug, wanted)
    assert world.sandboxes.alive


async def test_a_version_that_is_being_removed_cannot_serve_again(project: Project) -> None:
    first, _ = await _deploy(project, 2)
    project.worker.versions.change(first, {"status": "removed"})
    with pytest.raises(StaleWrite):
        project.worker.switches.roll_back(project.agent, first)
    with pytest.raises(Conflict, match="being removed"):
        project.worker.rollbacks.roll_back(project.agent.user_id, project.agent.slug, 1)


class _Raced(Switches):
    """Somebody else changes the agent's row before the first write."""

    def roll_back(self, agent: Any, version: Version) -> Any:
        fresh = tables.agents_table().get(agent.user_id, agent.slug)
        if fresh.description is None:
            changed = {"description": "changed", "latest_version_number": fresh.latest_version_number + 1}
            tables.agents_table().update(fresh, changed)
        return super().roll_back(agent, version)


async def test_a_rollback_that_meets_another_change_is_tried_again(project: Project) -> None:
    await _deploy(project, 2)
    agent = project.agent
    raced = _Raced(project.worker.agents, project.worker.versions)
    rollbacks = type(project.worker.rollbacks)(
        project.worker.agents, project.worker.versions, raced, project.worker.maintenance
    )
    rollbacks.roll_back(agent.user_id, agent.slug, 1)
    assert project.agent.active_version
    assert (project.agent.active_version.number, project.agent.latest_version_number) == (1, 3)


async def test_the_newest_versions_are_kept_and_what_only_older_ones_needed_goes(world: World) -> None:
    world.versions_kept = 3
    project = Project(world, world.worker())
    versions = await _deploy(project, 5, LOCKED)
    await project.deploy(b"no archive")
    await _tidy(world, project)
    assert [version.number for version in project.versions] == [6, 5, 4, 3]
    kept = {version.snapshot_id for version in versions[2:]} | {versions[0].dependencies_snapshot_id}
    assert set(world.sandboxes.sources) & {version.snapshot_id for version in versions} <= kept
    assert kept <= set(world.sandboxes.sources)
    for version in versions[:2]:
        with pytest.raises(NotFound):
            stores.bundle_bucket().about(version.bundle_key)
        assert not tables.build_logs_table().read(version.version_id, offset=0, limit=9)
    assert stores.bundle_bucket().about(versions[2].bundle_key)


async def test_the_version_that_serves_is_kept_however_old_it_is(world: World) -> None:
    world.versions_kept = 2
    project = Project(world, world.worker())
    await _deploy(project, 4)
    project.worker.rollbacks.roll_back(project.agent.user_id, project.agent.slug, 1)
    await _tidy(world, project)
    assert [version.number for version in project.versions] == [4, 1]
    assert (await project.worker.call(project.agent)).status == "completed"


async def test_a_version_that_serves_again_by_now_is_not_removed(world: World) -> None:
    world.versions_kept = 1
    project = Project(world, world.worker())
    (first, _) = await _deploy(project, 2)
    stale = project.agent
    project.worker.rollbacks.roll_back(stale.user_id, stale.slug, 1)
    assert not project.worker.retention._withdraw(stale, first)
    assert project.versions[-1].status == "ready"


def test_versions_logs_and_rollbacks_are_served_over_http(account: Account, world: World) -> None:
    account.api.request("POST", "/agents", {"name": "Poet"})
    table = tables.agents_table()
    agent = table.get(account.user_id, "poet")
    worker = world.worker()
    request = world.request(agent, "bundles/x", requested_by=account.key_id)
    numbered = worker.switches.next_number(agent, request.requested_at)
    version = worker.claims.first(agent, request, numbered.number).model_copy(
        update={"snapshot_id": "snapshot-x", "warnings": ("beware",)}
    )
    worker.versions.create(version)
    log = worker.deploys._log(version)
    path = f"/agents/poet/versions/{version.version_id}"
    log.step_started("install")
    log.output("added 3 packages\n")
    part = account.api.request("GET", f"{path}/log").json
    assert [entry["kind"] for entry in part["entries"]] == ["step_started", "output"]
    assert (part["next_offset"], part["done"], part["status"]) == (2, False, "building")
    log.step_done(1.5, "`npm ci`")
    worker.versions.change(version, {"status": "ready"})
    rest = account.api.request("GET", f"{path}/log", offset=part["next_offset"]).json
    assert [(entry["step"], entry["seconds"], entry["text"]) for entry in rest["entries"]] == [
        ("install", 1.5, "`npm ci`")
    ]
    assert (rest["next_offset"], rest["done"]) == (3, True)
    seen = account.api.request("GET", path).json
    assert (seen["created_by"], seen["warnings"], seen["active"]) == (account.key_id, ["beware"], False)
    rolled = account.api.request("POST", "/agents/poet/rollback", {"version": 1})
    assert (rolled.status, rolled.json["active_version"], rolled.json["status"]) == (200, 1, "active")
    assert account.api.request("GET", path).json["active"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"version": 7}, 404), ({"version": "ver_x"}, 404), ({"version": 0}, 422), ({}, 422), ({"to": 1}, 422)],
)
def test_a_rollback_to_what_is_not_there_is_refused(
    account: Account, body: dict[str, Any], status: int
) -> None:
    account.api.request("POST", "/agents", {"name": "Poet"})
    assert account.api.request("POST", "/agents/poet/rollback", body).status == status
