"""The hello example: greets, keeps notes, and takes its greeting from a secret."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.examples.conftest import Agent

pytestmark = pytest.mark.root


@pytest.fixture
def hello(installed: Callable[[str], Path], agent_of: Callable[[Path, str], Agent]) -> Agent:
    return agent_of(installed("hello"), "src/index.ts")


@pytest.mark.parametrize("prompt", ["Ada", "7d1f-nonce", "ünï $HOME `id` 'x'", "a\nb"])
def test_it_greets_what_the_prompt_says(hello: Agent, prompt: str) -> None:
    assert hello.ask(f"{prompt}\n").stdout == f"Hello, {prompt}!\n"


def test_the_greeting_is_a_secret(hello: Agent) -> None:
    assert hello.ask("Ada", GREETING="Bonjour").stdout == "Bonjour, Ada!\n"


def test_notes_stay_in_their_folder_whatever_their_title(hello: Agent) -> None:
    assert hello.ask("notes").stdout == "no notes\n"
    assert hello.ask("write Groceries").stdout == "wrote notes/groceries\n"
    assert hello.ask("write ../../etc/passwd").stdout == "wrote notes/etcpasswd\n"
    assert hello.ask("notes").stdout == "etcpasswd\ngroceries\n"
    assert {path.name for path in hello.folder.iterdir()} == {"CLAUDE.md", "notes"}


def test_a_note_without_a_title_fails_and_says_why(hello: Agent) -> None:
    answer = hello.ask("write ../..")
    assert answer.returncode == 1
    assert "a note needs a title" in answer.stderr
    assert answer.stdout == ""
