"""What `cast init` makes installs, has sound types, bundles and answers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cast.main import app
from tests.functional.examples.conftest import EXAMPLES, Agent, Toolchain

pytestmark = pytest.mark.root


@pytest.fixture
def made(toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init", "My Agent", "--no-install"]).exit_code == 0
    folder = tmp_path / "my-agent"
    toolchain.install(folder)
    return folder


def test_a_new_agent_is_sound_and_answers(
    made: Path, toolchain: Toolchain, agent_of: Callable[[Path, str], Agent], stand_in: Mapping[str, str]
) -> None:
    toolchain.check_types(made)
    agent = agent_of(made, "src/index.ts")
    beside = f"--import={EXAMPLES / 'coding-agent/test/stand-in-beside.mjs'}"
    assert agent.ask("say hi", beside, **stand_in).stdout == "hi"
    without_key = agent.ask("say hi")
    assert without_key.returncode == 1
    assert "cast secrets set my-agent ANTHROPIC_API_KEY" in without_key.stderr
