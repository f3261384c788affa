"""Which builds share installed dependencies: never two whose installs could come out differently."""

import pytest

from castari.manifest import Manifest
from castari.services.dependencies import dependencies_key

NODE = Manifest(name="x", entrypoint="index.js")
PYTHON = Manifest(name="x", entrypoint="main.py", runtime="python")
LOCKED = {"package.json": b'{"dependencies": {"a": "1"}}', "package-lock.json": b"{}"}
PINNED = {"requirements.txt": b"tabulate==0.9.0\n"}


def key(files: dict[str, bytes], manifest: Manifest = NODE, template: str = "base") -> str | None:
    return dependencies_key(files, manifest, template)


def test_the_same_files_give_the_same_key_and_other_files_another() -> None:
    assert key(LOCKED) == key(dict(reversed(LOCKED.items())))
    others = [
        LOCKED | {"package-lock.json": b"{ }"},
        LOCKED | {".npmrc": b"a=b"},
        LOCKED | {"package.json": b"{}"},
    ]
    assert len({key(LOCKED), key(LOCKED, template="newer"), *map(key, others)}) == 5


def test_files_of_the_other_language_do_not_matter() -> None:
    assert key(LOCKED | PINNED) == key(LOCKED)
    assert key(LOCKED | PINNED, PYTHON) == key(PINNED, PYTHON)
    assert key(PINNED, PYTHON) != key(LOCKED)


@pytest.mark.parametrize("lockfile", ["npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock"])
def test_every_lockfile_of_node_counts(lockfile: str) -> None:
    assert key({"package.json": b"{}", lockfile: b"x"})


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": b"{}"},
        LOCKED | {"package.json": b'{"scripts": {"postinstall": "make"}}'},
        LOCKED | {"package.json": b'{"scripts": ["postinstall"], "scripts": {"prepare": ""}}'},
        LOCKED | {"package.json": b'{"dependencies": {"own": "file:./own"}}'},
        LOCKED | {"package.json": b'{"workspaces": ["packages/*"]}'},
        LOCKED | {"package.json": b"no json"},
        LOCKED | {"pnpm-workspace.yaml": b"a: 1\npackages:\n  - own\n"},
        LOCKED | {".pnpmfile.cjs": b""},
    ],
)
def test_an_install_in_which_other_files_take_part_is_not_shared(files: dict[str, bytes]) -> None:
    assert key(files) is None


def test_an_install_with_secrets_is_not_shared() -> None:
    assert key(LOCKED, NODE.model_copy(update={"build_secrets": ["TOKEN"]})) is None


@pytest.mark.parametrize(
    "text",
    [
        "a==1\nB.c[extra,more] == 2.0rc1 ; python_version > '3'\n",
        "# all of it\na==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n",
        "a===1  # why\n\n",
    ],
)
def test_requirements_that_name_one_version_each_are_as_good_as_a_lockfile(text: str) -> None:
    assert key({"requirements.txt": text.encode()}, PYTHON)


@pytest.mark.parametrize(
    "text", ["", "a\n", "a>=1\n", "a==1.*\n", "a==1\n-r more.txt\n", "-e .\n", "./own\n", "a @ file:///a\n"]
)
def test_other_requirements_are_installed_each_time(text: str) -> None:
    assert key({"requirements.txt": text.encode()}, PYTHON) is None
