"""Deploys of agents whose source is git, with a sandbox service in memory."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import SecretStr

from castari.adapters.bundle_bucket import checkout_key, is_checkout
from castari.bootstrap import stores, tables
from castari.models import Agent
from castari.services.checkouts import Checkouts
from tests.gateway import Gateway
from tests.unit.bundles import tar_gz
from tests.world import World

URL = "https://git.example/agent.git"


class Repository:
    """An agent from git, and a worker that deploys it."""

    def __init__(self, world: World, *, branch: str | None = None) -> None:
        self._world = world
        self._agent = world.agent(
            source_type="git",
            git_repo_url=URL,
            git_branch=branch,
            status="draft",
            active_version=None,
            latest_version_number=0,
        )
        self.key = checkout_key(self._agent.user_id, self._agent.slug, "checkout_1")
        self.addresses: Sequence[str] = ["192.52.193.2"]
        world.runner.build_waits = self._clone

    @property
    def agent(self) -> Agent:
        return tables.agents_table().get(self._agent.user_id, self._agent.slug)

    async def deploy(self) -> str:
        worker = self._world.worker()
        checkouts: Checkouts = replace(worker.checkouts, resolve=self._resolve)
        deploys = replace(worker.deploys, checkouts=checkouts)
        return await deploys.deploy(self._world.request(self._agent, self.key))

    def keep_secret(self, name: str, value: str) -> None:
        version = stores.secret_store().write(self._agent.agent_id, {name: SecretStr(value)})
        tables.agents_table().update(self.agent, {"secret_version_id": version})

    async def _resolve(self, _host: str, _port: int) -> Sequence[str]:
        return self.addresses

    async def _clone(self) -> None:
        stores.bundle_bucket().put(self.key, tar_gz(), content_type="application/gzip")


async def test_the_branch_is_cloned_in_a_sandbox_of_its_own_and_built_in_another(world: World) -> None:
    repository = Repository(world, branch="next")
    assert await repository.deploy() == "active as version 1"
    clone, build, *_ = world.runner.builds
    assert clone["job"]["steps"] == ["clone"]
    assert (clone["job"]["url"], clone["job"]["branch"]) == (URL, "next")
    assert clone["job"]["addresses"] == ["192.52.193.2"]
    assert build["job"]["steps"][0] == "fetch"
    assert repository.key in build["job"]["bundle_url"]


async def test_only_the_clone_sees_the_token(world: World) -> None:
    repository = Repository(world)
    repository.keep_secret("GIT_TOKEN", "token-1234")
    assert await repository.deploy() == "active as version 1"
    clone, *builds = world.runner.builds
    assert clone["GIT_TOKEN"] == "token-1234"
    assert not any("GIT_TOKEN" in build for build in builds)


async def test_a_private_address_is_refused_before_there_is_a_sandbox(world: World) -> None:
    repository = Repository(world)
    repository.addresses = ["10.0.0.1"]
    assert (await repository.deploy()).startswith("failed: git clone failed: the host `git.example`")
    assert world.sandboxes.calls.count("create") == 0
    assert "private address" in str(repository.agent.status_message)


async def test_a_clone_that_fails_says_why_and_leaves_no_sandbox(world: World) -> None:
    world.runner.build_failures["clone"] = {"reason": "git clone failed", "remedy": "set GIT_TOKEN"}
    repository = Repository(world)
    await repository.deploy()
    assert repository.agent.status == "error"
    assert "set GIT_TOKEN" in str(repository.agent.status_message)
    assert world.sandboxes.alive == {}


def test_a_deploy_over_http_of_an_agent_from_git_needs_no_bundle(api: Gateway) -> None:
    api.request("POST", "/agents", {"name": "g", "slug": "g", "source_type": "git", "git_repo_url": URL})
    assert api.request("POST", "/agents/g/deploy").status == 202
    key = tables.agents_table().get(_user_id(api), "g").bundle_key
    assert key is not None
    assert is_checkout(key)


def test_a_deploy_over_http_without_a_repository_says_what_is_missing(api: Gateway) -> None:
    api.request("POST", "/agents", {"name": "g", "slug": "g", "source_type": "git"})
    reply = api.request("POST", "/agents/g/deploy")
    assert reply.status == 409
    assert "git_repo_url" in reply.json["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example/a.git",
        "ssh://git.example/a.git",
        "git@git.example:a.git",
        "https://",
        "https://git.example:99999/a.git",
        "https://user:token@git.example/a.git",
        "https://token@git.example/a.git",
        "https://git.example/a.git?token=1",
        "https://git.example/a b.git",
    ],
)
def test_only_plain_https_urls_without_credentials_are_taken(api: Gateway, url: str) -> None:
    reply = api.request("POST", "/agents", {"name": "g", "source_type": "git", "git_repo_url": url})
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["body", "git_repo_url"]


def _user_id(api: Gateway) -> str:
    user_id: str = api.request("GET", "/auth/me").json["id"]
    return user_id
