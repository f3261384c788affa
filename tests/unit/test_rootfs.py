"""The layers of the root filesystem: what is rebuilt when, and whose its files are."""

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from local.sandboxes.debian import Progress
from local.sandboxes.definition import Copy, Definition, load_definition
from local.sandboxes.engine import EngineError
from local.sandboxes.rootfs import FIRST_UID, build

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


class SmallSystem:
    """Builds a system of a few files, and counts how often."""

    def __init__(self) -> None:
        self.builds = 0

    def __call__(self, definition: Definition, tree: Path, _: Progress) -> None:
        self.builds += 1
        (tree / "etc/ssl/certs").mkdir(parents=True)
        (tree / "etc/ssl/certs/ca-certificates.crt").write_text("public authorities\n")
        (tree / "etc/profile").write_text('if [ "$(id -u)" -eq 0 ]; then PATH=/sbin; else PATH=/bin; fi\n')
        (tree / "opt").mkdir(mode=0o750)
        (tree / "bin").mkdir()
        (tree / "bin/su").write_text("su")
        (tree / "bin/su").chmod(0o4755)
        (tree / "bin/link").symlink_to("/etc/shadow")
        (tree / "home").mkdir()
        os.chown(tree / "home", definition.user.uid, definition.user.uid)


@pytest.fixture
def system() -> SmallSystem:
    return SmallSystem()


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    (tmp_path / "files/deep").mkdir(parents=True)
    (tmp_path / "files/run").write_text("#!/bin/sh\n")
    (tmp_path / "files/run").chmod(0o700)
    (tmp_path / "files/deep/data").write_text("one")
    return replace(load_definition(), copies=(Copy(tmp_path / "files", "/opt/castari"),))


def test_a_second_build_builds_nothing(definition: Definition, system: SmallSystem, tmp_path: Path) -> None:
    first = build(definition, tmp_path / "cache", build_os=system)
    assert build(definition, tmp_path / "cache", build_os=system) == first
    assert system.builds == 1


def test_a_login_shell_learns_who_it_is_without_a_process(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    files, _ = build(definition, tmp_path / "cache", build_os=system).directories
    told = subprocess.run(
        ["/bin/bash", "-c", f"id() {{ echo called >&2; }}; . {files}/etc/profile; echo $PATH"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert (told.stdout, told.stderr) == ("/sbin\n", "")


def test_a_changed_file_makes_another_layer_on_the_same_system(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    files, base = build(definition, tmp_path / "cache", build_os=system).directories
    (definition.copies[0].source / "deep/data").write_text("two")
    others, same = build(definition, tmp_path / "cache", build_os=system).directories
    assert (same, system.builds) == (base, 1)
    assert (files / "opt/castari/deep/data").read_text() == "one"
    assert (others / "opt/castari/deep/data").read_text() == "two"


def test_a_changed_package_list_makes_another_system(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    build(definition, tmp_path / "cache", build_os=system)
    build(replace(definition, apt=(*definition.apt, "jq")), tmp_path / "cache", build_os=system)
    assert system.builds == 2


def test_all_owners_are_shifted_and_set_id_bits_stay(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    files, base = build(definition, tmp_path / "cache", build_os=system).directories
    entries = [base, *base.rglob("*"), files, *files.rglob("*")]
    assert {each.lstat().st_uid for each in entries} == {FIRST_UID, FIRST_UID + definition.user.uid}
    assert (base / "bin/su").stat().st_mode & 0o7777 == 0o4755


def test_a_copied_file_keeps_whether_it_can_be_executed(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    files, _ = build(definition, tmp_path / "cache", build_os=system).directories
    assert (files / "opt/castari/run").stat().st_mode & 0o777 == 0o755
    assert (files / "opt/castari/deep/data").stat().st_mode & 0o777 == 0o644


def test_folders_of_the_upper_layer_look_like_those_below(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    files, base = build(definition, tmp_path / "cache", build_os=system).directories
    assert (files / "opt").stat().st_mode == (base / "opt").stat().st_mode


def test_what_a_crashed_build_left_is_not_built_upon(
    definition: Definition, system: SmallSystem, tmp_path: Path
) -> None:
    (tmp_path / "cache/building/tree/etc/ssl/certs").mkdir(parents=True)
    (tmp_path / "cache/building/tree/half").touch()
    _, base = build(definition, tmp_path / "cache", build_os=system).directories
    assert not (base / "half").exists()


def test_two_builds_at_once_build_once(definition: Definition, system: SmallSystem, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: build(definition, tmp_path / "cache", build_os=system), range(2)))
    assert made[0] == made[1]
    assert system.builds == 1


@pytest.mark.parametrize("error", [EngineError("no network"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing_and_can_be_repeated(
    definition: Definition, system: SmallSystem, tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        build(definition, tmp_path / "cache", build_os=_failing(error))
    assert [each.name for each in (tmp_path / "cache").iterdir()] == ["lock"]
    build(definition, tmp_path / "cache", build_os=system)
    assert system.builds == 1


def _failing(error: BaseException) -> Callable[[Definition, Path, Progress], None]:
    def fail(_: Definition, tree: Path, __: Progress) -> None:
        (tree / "half").touch()
        raise error

    return fail
