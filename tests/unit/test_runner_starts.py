"""Two commands in a real shell: an attempt begins once, and never after somebody heard that it has not."""

import json
import subprocess
from pathlib import Path

import pytest

from castari.models import Invocation
from castari.services.environments import RUN_COMMAND
from castari.services.runner_starts import ask_command, run_command

HOME = "/home/user/.castari"


def _attempt(number: int) -> Invocation:
    return Invocation.model_construct(invocation_id="inv_1", attempt=number)


class Shell:
    """Runs commands as a sandbox does, with another home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, attempt: Invocation) -> bool:
        """Start an attempt; tell whether its runner came to its turn."""
        command = run_command(attempt)
        assert command.endswith(RUN_COMMAND)
        return "ran" in self._bash(command.removesuffix(RUN_COMMAND) + "echo ran")

    def ask(self, attempt: Invocation) -> list[bool]:
        lines = self._bash(ask_command(attempt)).splitlines()
        return [frame["begun"] for frame in map(json.loads, lines) if frame["castari"] == "begun"]

    def _bash(self, command: str) -> str:
        words = ["/bin/bash", "-c", command.replace(HOME, str(self.home))]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_an_attempt_begins_once(shell: Shell) -> None:
    assert [shell.run(_attempt(1)) for _ in range(2)] == [True, False]
    assert [shell.ask(_attempt(1)) for _ in range(2)] == [[True], [True]]


def test_an_attempt_that_had_not_begun_when_somebody_asked_never_does(shell: Shell) -> None:
    assert [shell.ask(_attempt(1)) for _ in range(2)] == [[False], [False]]
    assert not shell.run(_attempt(1))
    assert shell.ask(_attempt(1)) == [False]


def test_the_next_attempt_in_the_same_sandbox_is_another_one(shell: Shell) -> None:
    shell.ask(_attempt(1))
    assert shell.run(_attempt(2))


def test_a_folder_that_takes_no_files_keeps_no_agent_from_running_and_answers_nobody(shell: Shell) -> None:
    shell.home = shell.home / "missing"
    assert shell.run(_attempt(1))
    assert shell.ask(_attempt(1)) == []
