"""`cast agents` and `cast stop`."""

import json

import pytest

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import agent


def test_list_is_separated_by_tabs_in_a_pipe(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents", Reply(200, [agent(status="active"), agent(slug="b", name="B\tC")]))
    result = cast("agents", "list")
    assert result.stdout == (
        "hello\tactive\tHello\t2026-01-02 03:04:05Z\nb\tdraft\tB C\t2026-01-02 03:04:05Z\n"
    )
    assert len(platform.requests("GET", "/agents?limit=20&offset=0")) == 1


def test_list_passes_on_how_many_and_from_where(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents", Reply(200, []))
    result = cast("agents", "list", "--limit", "100", "--offset", "200")
    assert result.stdout == ""
    assert "no agents" in result.stderr
    assert len(platform.requests("GET", "/agents?limit=100&offset=200")) == 1


def test_list_prints_json_for_scripts_even_when_it_is_empty(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents", Reply(200, []))
    assert json.loads(cast("agents", "list", "--json").stdout) == []


def test_get_shows_what_is_known(cast: Cast, platform: FakePlatform) -> None:
    platform.on(
        "GET", "/agents/hello", Reply(200, agent(status="error", status_message="npm install failed"))
    )
    lines = cast("agents", "get", "hello").stdout.splitlines()
    assert "status:          error" in lines
    assert "status message:  npm install failed" in lines
    assert not any(line.startswith("description") for line in lines)


def test_create_sends_what_was_given_and_no_more(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", "/agents", Reply(201, agent()))
    assert cast("agents", "create", "My Agent", "--max-turns", "5", "--timeout", "60").exit_code == 0
    assert platform.asked[-1].json == {"name": "My Agent", "max_turns": 5, "timeout_seconds": 60}


def test_update_changes_what_was_given(cast: Cast, platform: FakePlatform) -> None:
    platform.on("PATCH", "/agents/hello", Reply(200, agent(description="greets")))
    result = cast("agents", "update", "hello", "--description", "greets", "--json")
    assert json.loads(result.stdout)["description"] == "greets"
    assert platform.asked[-1].json == {"description": "greets"}


def test_an_update_of_nothing_is_a_mistake(cast: Cast, platform: FakePlatform) -> None:
    result = cast("agents", "update", "hello")
    assert result.exit_code == 2
    assert platform.asked == []


def test_delete_asks_first_and_refuses_where_nobody_can_answer(cast: Cast, platform: FakePlatform) -> None:
    result = cast("agents", "delete", "hello")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert platform.asked == []


def test_delete_does_not_ask_when_forced(cast: Cast, platform: FakePlatform) -> None:
    platform.on("DELETE", "/agents/hello", Reply(204))
    result = cast("agents", "delete", "hello", "-f")
    assert result.exit_code == 0
    assert "deleted hello" in result.stderr


def test_stop_destroys_the_agents_sandboxes(cast: Cast, platform: FakePlatform) -> None:
    platform.on("DELETE", "/agents/hello/sandbox", Reply(200, agent(status="stopped")))
    assert "stopped hello" in cast("stop", "hello").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("agents", "get", "hello"), ("agents", "delete", "hello", "-f"), ("stop", "hello"),
        ("agents", "update", "hello", "--name", "x"), ("secrets", "list", "hello"),
        ("secrets", "set", "hello", "K", "v"), ("secrets", "delete", "hello", "K"),
        ("invocations", "list", "hello"), ("invocations", "get", "hello", "inv_1"), ("invoke", "hello", "x"),
    ],
)  # fmt: skip
def test_an_unknown_agent_is_named_so_by_every_command(cast: Cast, arguments: tuple[str, ...]) -> None:
    result = cast(*arguments)
    assert result.exit_code == 1
    assert "error: Agent not found" in result.stderr
    assert "cast agents list" in result.stderr


def test_create_with_a_repository_makes_an_agent_from_git(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", "/agents", Reply(201, agent()))
    url = "https://git.example/agent.git"
    assert cast("agents", "create", "Mine", "--git-url", url, "--git-branch", "next").exit_code == 0
    expected = {"name": "Mine", "source_type": "git", "git_repo_url": url, "git_branch": "next"}
    assert platform.asked[-1].json == expected
