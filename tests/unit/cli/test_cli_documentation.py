"""docs/cli.md and the READMEs of the examples speak of commands and options that exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cast.main import app

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "docs/cli.md", *sorted((REPOSITORY / "examples").glob("*/README.md"))]


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    return [found for block in blocks for found in re.findall(r"\bcast (?!init \")[^|&#)\n]+", block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name + "/" + page.name)
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    found = commands(page)
    assert found
    for command in found:
        words = shlex.split(command)[1:]
        result = CliRunner().invoke(app, [*words, "--help"])
        assert result.exit_code == 0, f"{command}: {result.output}"
        for option in (word for word in words if word.startswith("-")):
            assert option in result.stdout, f"{command}: no {option}"


def test_every_command_is_documented() -> None:
    page = PAGES[0].read_text()
    listed = CliRunner().invoke(app, ["--help"]).stdout.partition("Commands:")[2]
    for name in re.findall(r"^  (\w+)", listed, re.MULTILINE):
        assert f"cast {name}" in page, name
