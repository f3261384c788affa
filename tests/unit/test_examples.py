"""What every example and template must have, before it is ever run."""

import json
import re
from pathlib import Path

import pytest

from cast.manifest import read_manifest
from cast.selection import select_files

REPOSITORY = Path(__file__).parents[2]
LOCKFILES = {"package-lock.json", "pnpm-lock.yaml", "yarn.lock", "requirements.txt"}
EXAMPLES = sorted(path.parent for path in (REPOSITORY / "examples").glob("*/castari.json"))


@pytest.fixture(params=EXAMPLES, ids=lambda folder: folder.name)
def example(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def test_there_is_an_example_for_each_language_and_package_manager() -> None:
    assert [folder.name for folder in EXAMPLES] == [
        *("coding-agent", "hello", "javascript-hello", "misbehaving"),
        *("pnpm-hello", "python-hello", "yarn-hello"),
    ]


def test_each_can_be_packed_as_it_is(example: Path) -> None:
    manifest = read_manifest(example)
    assert manifest.slug == example.name
    packed = {path.as_posix() for path in select_files(example).files}
    wanted = "requirements.txt" if manifest.entrypoint.endswith(".py") else "package.json"
    needed = {"castari.json", wanted, "README.md", "CLAUDE.md"}
    assert needed | (set() if manifest.is_built else {manifest.entrypoint}) <= packed


def test_each_with_dependencies_has_a_lock_file_that_names_no_registry(example: Path) -> None:
    locks = [path for path in example.iterdir() if path.name in LOCKFILES]
    assert len(locks) == bool(_wanted(example))
    assert not any("//" in path.read_text() for path in locks)


def test_each_lock_file_of_npm_fits_its_package(example: Path) -> None:
    lock = example / "package-lock.json"
    if lock.exists():
        content = json.loads(lock.read_text())
        entries = {name: entry for name, entry in content["packages"].items() if name}
        assert all("integrity" in entry for entry in entries.values())
        root = content["packages"][""]
        assert root.get("dependencies", {}) | root.get("devDependencies", {}) == _wanted(example)


def _wanted(example: Path) -> dict[str, str]:
    """Return what has to be installed, by name."""
    if (requirements := example / "requirements.txt").exists():
        return dict(line.split("==") for line in requirements.read_text().splitlines())
    package = json.loads((example / "package.json").read_text())
    return dict(package.get("dependencies", {}) | package.get("devDependencies", {}))


def test_each_readme_says_how_to_deploy_and_invoke_it(example: Path) -> None:
    readme = (example / "README.md").read_text()
    assert "cast deploy" in readme
    assert f"cast invoke {example.name} " in readme


def test_the_misbehaving_agents_readme_lists_every_prompt_and_no_other() -> None:
    folder = REPOSITORY / "examples/misbehaving"
    source = (folder / "src/index.js").read_text()
    body = source.partition("const deeds = {")[2].partition("\n};")[0]
    deeds = set(re.findall(r"^  (\w+)[:,]", body, re.MULTILINE))
    rows = re.findall(r"^\| (`.*?) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert {prompt.split()[0] for row in rows for prompt in re.findall(r"`(.*?)`", row)} == deeds
