"""Agents whose source is a git repository, cloned from a server that only this test knows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.demo.stage import Stage
from tests.e2e.product.agents import MANIFEST, PACKAGE, Agents
from tests.e2e.product.git_host import GitHost, git_host
from tests.e2e.product.git_server import TOKEN

pytestmark = [pytest.mark.stack, pytest.mark.root]
SAY = """
const names = Object.keys(process.env).filter((name) => name.startsWith("GIT"));
console.log(JSON.stringify(["WORD", names]));
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with git_host(tmp_path_factory.mktemp("git")) as host:
        yield host


def _files(word: str) -> dict[str, str]:
    source = SAY.replace("WORD", word)
    return {"castari.json": json.dumps(MANIFEST), "package.json": json.dumps(PACKAGE), "index.js": source}


def _create(agents: Agents, url: str, **fields: str) -> str:
    return agents.create("git", source_type="git", git_repo_url=url, **fields)


def _deploy(stage: Stage, agents: Agents, slug: str) -> dict[str, Any]:
    stage.http.post(f"/agents/{slug}/deploy").raise_for_status()
    return agents.settled(slug)


def _set_secret(stage: Stage, slug: str, key: str, value: str) -> None:
    stage.http.post(f"/agents/{slug}/secrets", json={"key": key, "value": value}).raise_for_status()


def _say(stage: Stage, slug: str) -> Any:
    return json.loads(stage.invoke(slug, "say")["response_content"])


def test_a_deploy_takes_what_the_repository_holds_now(stage: Stage, agents: Agents, server: GitHost) -> None:
    server.commit("public/agent.git", _files("first"))
    slug = _create(agents, server.url("public/agent.git"))
    _set_secret(stage, slug, "GIT_CA_CERTIFICATE", server.certificates.authority)
    agent = _deploy(stage, agents, slug)
    assert agent["status"] == "active", agent["status_message"]
    assert _say(stage, slug) == ["first", []]
    server.commit("public/agent.git", _files("second"))
    assert _deploy(stage, agents, slug)["status"] == "active"
    assert _say(stage, slug)[0] == "second"


def test_cast_deploys_what_the_repository_holds(stage: Stage, agents: Agents, server: GitHost) -> None:
    server.commit("public/cast.git", _files("by cast"))
    slug = _create(agents, server.url("public/cast.git"))
    _set_secret(stage, slug, "GIT_CA_CERTIFICATE", server.certificates.authority)
    done = stage.cast("deploy", slug)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{slug} is active: version 1, ")
    assert "✓ clone" in done.stderr
    assert _say(stage, slug)[0] == "by cast"


def test_a_branch_can_be_named(stage: Stage, agents: Agents, server: GitHost) -> None:
    server.commit("public/branches.git", _files("main"))
    server.commit("public/branches.git", _files("next"), branch="next")
    slug = _create(agents, server.url("public/branches.git"), git_branch="next")
    _set_secret(stage, slug, "GIT_CA_CERTIFICATE", server.certificates.authority)
    assert _deploy(stage, agents, slug)["status"] == "active"
    assert _say(stage, slug)[0] == "next"


def test_a_private_repository_needs_its_token_which_no_invocation_sees(
    stage: Stage, agents: Agents, server: GitHost
) -> None:
    server.commit("private/agent.git", _files("mine"))
    slug = _create(agents, server.url("private/agent.git"))
    _set_secret(stage, slug, "GIT_CA_CERTIFICATE", server.certificates.authority)
    refused = _deploy(stage, agents, slug)
    assert refused["status"] == "error"
    assert "git clone failed" in refused["status_message"]
    assert "GIT_TOKEN" in refused["status_message"]
    _set_secret(stage, slug, "GIT_TOKEN", TOKEN)
    agent = _deploy(stage, agents, slug)
    assert agent["status"] == "active", agent["status_message"]
    assert _say(stage, slug) == ["mine", []]


def test_a_server_is_not_trusted_without_its_authority(stage: Stage, agents: Agents, server: GitHost) -> None:
    server.commit("public/agent.git", _files("first"))
    slug = _create(agents, server.url("public/agent.git"))
    refused = _deploy(stage, agents, slug)
    assert refused["status"] == "error"
    assert "certificate" in refused["status_message"]


def test_a_redirect_is_not_followed(stage: Stage, agents: Agents, server: GitHost) -> None:
    server.commit("public/agent.git", _files("first"))
    slug = _create(agents, server.url("moved/agent.git"))
    _set_secret(stage, slug, "GIT_CA_CERTIFICATE", server.certificates.authority)
    refused = _deploy(stage, agents, slug)
    assert refused["status"] == "error"
    assert "redirect" in refused["status_message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "[::1]", "localhost"])
def test_a_private_address_is_refused_before_anything_is_sent(
    stage: Stage, agents: Agents, host: str
) -> None:
    slug = _create(agents, f"https://{host}/agent.git")
    refused = _deploy(stage, agents, slug)
    assert refused["status"] == "error"
    assert "private address" in refused["status_message"]


def test_a_link_in_a_repository_is_named(stage: Stage, agents: Agents, server: GitHost) -> None:
    server.commit("public/linked.git", _files("first"))
    (server.folder / "public/linked.git-work/shortcut").symlink_to("index.js")
    server.commit("public/linked.git", {})
    slug = _create(agents, server.url("public/linked.git"))
    _set_secret(stage, slug, "GIT_CA_CERTIFICATE", server.certificates.authority)
    refused = _deploy(stage, agents, slug)
    assert refused["status"] == "error"
    assert "`shortcut`" in refused["status_message"]
