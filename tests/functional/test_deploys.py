"""Deploys from a stored bundle to the version that serves, with a sandbox service in memory."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from castari.bootstrap import catalogue, stores
from castari.errors import VendorRateLimited
from castari.messages import AgentKey
from tests.project import Project
from tests.unit.bundles import FILES, MANIFEST, tar_gz
from tests.world import World

LOCKED = FILES | {
    "package.json": '{"dependencies": {"a": "1"}}',
    "package-lock.json": '{"lockfileVersion": 3}',
}


async def test_a_bundle_becomes_the_version_that_serves(world: World, project: Project) -> None:
    assert await project.deploy() == "active as version 1"
    agent, (version,) = project.agent, project.versions
    assert (agent.status, agent.status_message, agent.source_hash) == ("active", None, version.source_hash)
    assert agent.active_version
    assert agent.active_version.version_id == version.version_id
    assert (version.status, version.number) == ("ready", 1)
    assert version.manifest["entrypoint"] == "src/index.ts"
    (warm,) = project.worker.warm.list(version.version_id, limit=9)
    assert list(world.sandboxes.alive) == [warm.sandbox_id]
    assert world.sandboxes.alive[warm.sandbox_id].template == agent.active_version.snapshot_id


async def test_the_sandbox_fetches_exactly_the_bundle_that_was_checked(
    world: World, project: Project
) -> None:
    await project.deploy()
    job = world.runner.builds[0]["job"]
    assert job["bundle_sha256"] == project.versions[0].source_hash
    assert "X-Amz-Signature" in job["bundle_url"]


async def test_a_redeploy_with_the_same_lockfile_installs_nothing(world: World, project: Project) -> None:
    await project.deploy(LOCKED)
    await project.deploy(LOCKED | {"src/index.ts": "changed"})
    steps = [build["job"]["steps"] for build in world.runner.builds]
    assert steps == [["fetch", "unpack", "install"], ["bundle"], ["fetch", "unpack", "bundle"]]
    assert world.runner.builds[-1]["job"]["keep_dependencies"]
    newest, first = project.versions
    assert newest.dependencies_snapshot_id == first.dependencies_snapshot_id


@pytest.mark.parametrize(
    "changed",
    [
        {"package-lock.json": '{"lockfileVersion": 2}'},
        {".npmrc": "registry=https://npm.example"},
        {"package.json": '{"dependencies": {"a": "1"}, "scripts": {"postinstall": "make"}}'},
    ],
)
async def test_what_may_change_an_install_leads_to_one(
    world: World, project: Project, changed: dict[str, str]
) -> None:
    await project.deploy(LOCKED)
    await project.deploy(LOCKED | changed)
    assert [build["job"]["steps"] for build in world.runner.builds][-2:] == [
        ["fetch", "unpack", "install"],
        ["bundle"],
    ]


async def test_dependencies_that_are_gone_are_installed_again(world: World, project: Project) -> None:
    await project.deploy(LOCKED)
    world.sandboxes.snapshots.pop(str(project.versions[0].dependencies_snapshot_id))
    assert await project.deploy(LOCKED | {"src/index.ts": "changed"}) == "active as version 2"
    assert world.runner.builds[-2]["job"]["steps"] == ["fetch", "unpack", "install"]


async def test_the_bundle_that_serves_is_not_built_again(world: World, project: Project) -> None:
    await project.deploy()
    world.sandboxes.calls.clear()
    assert await project.deploy() == "nothing changed"
    assert world.sandboxes.calls == []
    assert len(project.versions) == 1
    assert project.agent.status == "active"


async def test_the_same_event_twice_builds_once(project: Project) -> None:
    key = project.put()
    assert await project.deploy(key=key) == "active as version 1"
    assert await project.deploy(key=key) == "nothing changed"


async def test_a_redeploy_replaces_the_warm_sandboxes_and_leaves_running_ones(
    world: World, project: Project
) -> None:
    await project.deploy()
    old = project.agent.active_version
    launched = await project.worker.launches.launch(
        project.agent, project.worker.invocations.draft(project.agent, "hi"), stored=False
    )
    await project.worker.pool.refill(project.agent.user_id, project.agent.slug)
    await project.deploy(FILES | {"src/index.ts": "changed"})
    assert old
    assert project.worker.warm.list(old.version_id, limit=9) == []
    assert launched.invocation.sandbox_id in world.sandboxes.alive
    assert len(world.sandboxes.alive) == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"src/index.ts": "1"}, "castari.json not found"),
        (FILES | {"castari.json": "{"}, "castari.json is no valid JSON"),
        (
            FILES | {"castari.json": json.dumps(MANIFEST | {"entrypoint": "x.ts"})},
            "`x.ts` is not in the bundle",
        ),
        (b"no archive", "neither a tar.gz nor a zip"),
        (tar_gz()[:100], "the bundle cannot be read"),
    ],
)
async def test_a_bad_bundle_is_an_error_that_says_what_to_mend(
    world: World, project: Project, files: Any, said: str
) -> None:
    assert (await project.deploy(files)).startswith("failed")
    assert project.agent.status == "error"
    assert said in str(project.agent.status_message)
    assert project.versions[0].status == "failed"
    assert not world.sandboxes.calls


async def test_a_failed_install_shows_the_end_of_its_output(world: World, project: Project) -> None:
    world.runner.build_failures["install"] = {
        "reason": "npm install failed: `npm ci` ended with exit code 1",
        "remedy": "mend the lockfile",
        "tail": "npm error missing: left-pad",
    }
    await project.deploy(LOCKED)
    message = str(project.agent.status_message)
    assert "npm install failed" in message
    assert "mend the lockfile" in message
    assert "left-pad" in message
    assert project.agent.status == "error"
    assert not world.sandboxes.alive


async def test_a_failed_deploy_leaves_the_active_version_active(world: World, project: Project) -> None:
    await project.deploy()
    world.runner.build_failures["bundle"] = {"reason": "esbuild cannot read it", "remedy": "mend it"}
    await project.deploy(FILES | {"src/index.ts": "("})
    agent = project.agent
    assert agent.active_version
    assert (agent.status, agent.active_version.number, agent.latest_version_number) == ("active", 1, 2)
    assert "version 1 serves on" in str(agent.status_message)
    assert "esbuild cannot read it" in str(agent.status_message)
    assert (await project.worker.call(agent)).status == "completed"


async def test_a_warm_sandbox_that_cannot_be_made_is_no_reason_to_fail(
    world: World, project: Project
) -> None:
    project.world.sandboxes.script = _then_no_more_sandboxes(world)
    assert await project.deploy() == "active as version 1"
    assert not world.sandboxes.alive


def _then_no_more_sandboxes(world: World) -> Any:
    runner = world.runner

    def script(service: Any, sandbox_id: str, environment: dict[str, str]) -> Any:
        service.failures["create"] = [VendorRateLimited("no more")]
        return runner(service, sandbox_id, environment)

    return script


async def test_build_secrets_reach_the_install_only_and_no_snapshot(world: World, project: Project) -> None:
    agent = project.agent
    catalogue.secrets().set(agent.user_id, agent.slug, "NPM_TOKEN", SecretStr("npm_s3cret"))
    catalogue.secrets().set(agent.user_id, agent.slug, "OTHER", SecretStr("other"))
    files = LOCKED | {"castari.json": json.dumps(MANIFEST | {"build_secrets": ["NPM_TOKEN"]})}
    assert await project.deploy(files) == "active as version 1"
    first, second = world.runner.builds
    assert (first["job"]["steps"], first["NPM_TOKEN"]) == (
        ["fetch", "unpack", "install", "pack"],
        "npm_s3cret",
    )
    assert "OTHER" not in first
    assert second["job"]["steps"] == ["restore", "bundle"]
    assert "NPM_TOKEN" not in second
    assert world.sandboxes.calls.count("snapshot") == 1


async def test_a_build_secret_in_the_output_is_not_kept(world: World, project: Project) -> None:
    agent = project.agent
    catalogue.secrets().set(agent.user_id, agent.slug, "NPM_TOKEN", SecretStr("npm_s3cret"))
    world.runner.build_failures["install"] = {"reason": "no", "remedy": "mend", "tail": "401 for npm_s3cret"}
    await project.deploy(LOCKED | {"castari.json": json.dumps(MANIFEST | {"build_secrets": ["NPM_TOKEN"]})})
    assert "401 for [secret]" in str(project.agent.status_message)
    assert "npm_s3cret" not in project.versions[0].model_dump_json() + project.agent.model_dump_json()


async def test_a_build_secret_that_the_agent_has_not_is_named(world: World, project: Project) -> None:
    await project.deploy(LOCKED | {"castari.json": json.dumps(MANIFEST | {"build_secrets": ["NPM_TOKEN"]})})
    assert "build_secrets that the agent has not: NPM_TOKEN" in str(project.agent.status_message)
    assert not world.sandboxes.calls


async def test_a_bundle_for_nobody_is_passed_over(project: Project) -> None:
    request = project.request("bundles/x/y/z.tar.gz")
    nobody = request.model_copy(update={"agent": AgentKey(user_id="user_none", slug="nothing")})
    assert await project.worker.deploys.deploy(nobody) == "no such agent"


async def test_a_bundle_that_was_deleted_meanwhile_says_so(project: Project) -> None:
    key = project.put()
    stores.bundle_bucket().delete([key])
    assert (await project.deploy(key=key)).startswith("failed: the bundle is gone")
