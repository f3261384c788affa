"""The coding agent: the real SDK and the real tools against a stand-in of the Messages API."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.functional.examples.conftest import EXAMPLES, Agent

pytestmark = pytest.mark.root
BESIDE = f"--import={EXAMPLES / 'coding-agent/test/stand-in-beside.mjs'}"
Ask = Callable[..., Any]


@pytest.fixture
def coder(installed: Callable[[str], Path], agent_of: Callable[[Path, str], Agent]) -> Agent:
    return agent_of(installed("coding-agent"), "src/index.ts")


@pytest.fixture
def call(coder: Agent, stand_in: Mapping[str, str]) -> Ask:
    """Make the model call one tool, and return what the tool handed back to it."""

    def run(tool: str, **values: object) -> Any:
        answer = coder.ask(f"call {json.dumps({'tool': tool, 'input': values})}", BESIDE, **stand_in)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


def test_it_writes_a_file_runs_a_command_and_answers_with_what_it_printed(
    coder: Agent, stand_in: Mapping[str, str]
) -> None:
    answer = coder.ask("shout hello there", BESIDE, **stand_in)
    assert answer.stdout == "HELLO THERE\n"
    assert (coder.folder / "workspace/words.txt").read_text() == "hello there"
    assert "3 turns, 300 tokens in, 30 tokens out" in answer.stderr


def test_it_answers_the_same_with_the_stand_in_in_its_own_bundle(
    installed: Callable[[str], Path], agent_of: Callable[[Path, str], Agent], stand_in: Mapping[str, str]
) -> None:
    agent = agent_of(installed("coding-agent"), "test/in-sandbox.mjs")
    assert agent.ask("shout hello", **stand_in).stdout == "HELLO\n"


def test_it_reports_its_tokens_where_the_platform_asks_for_them(
    coder: Agent, stand_in: Mapping[str, str]
) -> None:
    usage = coder.folder / "usage.json"
    coder.ask("say hi", BESIDE, CASTARI_USAGE_FILE=str(usage), ANTHROPIC_MODEL="some-model", **stand_in)
    assert json.loads(usage.read_text()) == {"model": "some-model", "input_tokens": 100, "output_tokens": 10}


def test_it_stops_after_its_turns(coder: Agent, stand_in: Mapping[str, str]) -> None:
    answer = coder.ask("forever", BESIDE, MAX_TURNS="3", **stand_in)
    assert answer.returncode == 1
    assert "stopped after 3 turns" in answer.stderr


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside", "workspace/../../x", "out/x", "dangling"])
def test_file_tools_stay_in_the_working_folder(coder: Agent, call: Ask, path: str) -> None:
    (coder.folder / "out").symlink_to(coder.folder.parent)
    (coder.folder / "dangling").symlink_to(coder.folder.parent / "made")
    for tool, more in (("read_file", {}), ("write_file", {"content": "x"}), ("list_files", {})):
        assert call(tool, path=path, **more)["is_error"]
    assert not (coder.folder.parent / "made").exists()
    assert not (coder.folder.parent / "x").exists()


def test_edit_replaces_a_piece_that_occurs_once(coder: Agent, call: Ask) -> None:
    (coder.folder / "a.txt").write_text("one two two")
    assert not call("edit_file", path="a.txt", old_text="one", new_text="$& 1")["is_error"]
    assert (coder.folder / "a.txt").read_text() == "$& 1 two two"
    for old_text, times in (("two", 2), ("three", 0), ("", 0)):
        result = call("edit_file", path="a.txt", old_text=old_text, new_text="x")
        assert f"occurs {times} times" in result["content"]


def test_a_command_is_told_with_its_exit_code_and_both_outputs(call: Ask) -> None:
    assert call("bash", command="echo out; echo err >&2; exit 3")["content"] == "exit code 3\nout\nerr\n"


def test_a_command_sees_no_key(call: Ask) -> None:
    assert "ANTHROPIC" not in call("bash", command="env")["content"]


def test_a_command_leaves_nothing_running_and_does_not_hold_up_the_answer(call: Ask) -> None:
    code, pid = call("bash", command="sleep 300 & echo $!")["content"].splitlines()
    assert code == "exit code 0"
    command = Path(f"/proc/{pid}/cmdline")
    assert not command.exists() or "sleep" not in command.read_text()


def test_the_output_of_a_command_is_cut_with_a_count(call: Ask) -> None:
    content = call("bash", command="head -c 100000 /dev/zero | tr '\\0' a")["content"]
    assert content.endswith(f"[{100000 - 64 * 1024} bytes more]")


@pytest.mark.parametrize(
    ("tool", "values", "said"),
    [
        ("nonsense", {}, "there is no tool named nonsense"),
        ("constructor", {}, "there is no tool named constructor"),
        ("read_file", {}, "`path` must be a text"),
        ("read_file", {"path": 5}, "`path` must be a text"),
        ("read_file", {"path": "missing"}, "ENOENT"),
    ],
)
def test_a_wrong_call_goes_back_to_the_model(
    call: Ask, tool: str, values: dict[str, object], said: str
) -> None:
    result = call(tool, **values)
    assert result["is_error"]
    assert said in result["content"]


def test_a_refusal_of_the_api_is_one_line_and_not_a_stack(coder: Agent, stand_in: Mapping[str, str]) -> None:
    answer = coder.ask("nonsense", BESIDE, **stand_in)
    assert answer.returncode == 1
    assert "the Messages API refused: 400" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_without_a_key_it_says_how_to_set_one(coder: Agent) -> None:
    answer = coder.ask("say hi")
    assert answer.returncode == 1
    assert "cast secrets set coding-agent ANTHROPIC_API_KEY" in answer.stderr
