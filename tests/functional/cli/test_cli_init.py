"""`cast init`: what it makes can be deployed."""

import json
from pathlib import Path

import pytest

from cast.manifest import read_manifest
from cast.selection import select_files
from tests.functional.cli.conftest import Cast


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_init_makes_a_folder_that_deploy_accepts(stranger: Cast, here: Path) -> None:
    result = stranger("init", 'Ünï "Quoted" Agent', "--no-install")
    assert result.exit_code == 0, result.output
    folder = here / "n-quoted-agent"
    manifest = read_manifest(folder)
    assert (manifest.name, manifest.slug) == ('Ünï "Quoted" Agent', "n-quoted-agent")
    packed = [path.as_posix() for path in select_files(folder).files]
    assert packed == [
        ".gitignore", "CLAUDE.md", "README.md", "castari.json", "package.json", "src/index.ts",
        "tsconfig.json",
    ]  # fmt: skip
    assert json.loads((folder / "package.json").read_text())["name"] == "n-quoted-agent"
    assert "cd n-quoted-agent && cast deploy" in result.stderr


def test_no_word_of_the_template_is_left_unfilled(stranger: Cast, here: Path) -> None:
    stranger("init", "demo", "--no-install")
    for path in (here / "demo").rglob("*"):
        assert path.is_dir() or "AGENT_" not in path.read_text(), path


def test_init_never_writes_into_a_folder_that_is_there(stranger: Cast, here: Path) -> None:
    (here / "demo").mkdir()
    result = stranger("init", "demo", "--no-install")
    assert result.exit_code == 1
    assert "demo exists" in result.stderr
    assert list((here / "demo").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"), [(["demo", "-t", "nonsense"], "choose one of: default"), (["!!"], "no letter")]
)
def test_a_wrong_template_or_name_is_a_mistake(
    stranger: Cast, here: Path, arguments: list[str], message: str
) -> None:
    result = stranger("init", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(here.iterdir()) == []
