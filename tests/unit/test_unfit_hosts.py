"""Hosts that can not isolate sandboxes are told so at once and what to do, by all that would start one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.preflight import HostUnfit, check
from local.sandboxes.namespaces.preflight import Host, find_problems, find_system_problems

ROOT = Path(__file__).parents[2]
ELSEWHERE = r"virtual machine.*E2B key"

# A program on another system, as far as Python knows: what only Linux has can not be imported there.
FOREIGN = """
import platform, runpy, sys
platform.system, platform.machine = (lambda: "Darwin"), (lambda: "arm64")
sys.modules["pyseccomp"] = None
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def _run(*command: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | ({"PATH": path} if path else {})
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "host", [Host("Darwin", "arm64", 501), Host("Windows", "AMD64", -1), Host("Linux", "riscv64", 0)]
)
def test_another_system_or_processor_is_named_with_what_to_use(host: Host) -> None:
    for problems in (find_problems(host), find_system_problems(host)):
        assert len(problems) == 1
        assert f"this is {host.system} on {host.machine}" in problems[0]
    for isolated in (True, False):
        with pytest.raises(HostUnfit, match=ELSEWHERE):
            check(isolated=isolated, host=host)


def test_an_ordinary_user_is_told_of_root_a_machine_and_a_key() -> None:
    with pytest.raises(HostUnfit, match=rf"need root.*sudo.*{ELSEWHERE}"):
        check(isolated=True, host=Host("Linux", "x86_64", 1000))
    check(isolated=False, host=Host("Linux", "x86_64", 1000))


@pytest.mark.parametrize("engine", ["namespaces", "bare"])
def test_the_server_answers_so_on_another_system(tmp_path: Path, engine: str) -> None:
    options = ["--api-key-file", "key", "--state-dir", str(tmp_path / "state"), "--engine", engine]
    told = _run(sys.executable, "-c", FOREIGN, "local.sandboxes", *options)
    assert told.returncode == 1
    assert "this is Darwin on arm64" in told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.iterdir()) == []


def _without_root() -> list[str]:
    """What runs a program as nobody that it knows, though it may read what we may."""
    command = ["unshare", "--user"]
    if not shutil.which("unshare") or _run(*command, "true").returncode:
        pytest.skip("this host makes no user namespaces")
    return command


@pytest.mark.parametrize(
    "arguments",
    [
        ("local.sandboxes", "--api-key-file", "key", "--state-dir", "{folder}/state"),
        ("local.stack", "up", "--directory", "{folder}/stack"),
    ],
)
def test_server_and_stack_answer_so_without_root_and_leave_nothing(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    filled_in = [each.format(folder=tmp_path) for each in arguments]
    told = _run(*_without_root(), sys.executable, "-m", *filled_in)
    assert told.returncode == 1
    assert "Local sandboxes need root" in told.stdout + told.stderr
    assert "E2B key" in told.stdout + told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.iterdir()) == []


def _tools(folder: Path, **scripts: str) -> str:
    """A folder of programs that answer as another host's would, before this host's own."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({"uname": "echo Darwin"}, "sandboxes need Linux, this is Darwin: use a virtual machine"),
        ({"python3": "exit 1"}, "install Python 3.11 or newer"),
    ],
)
def test_setup_answers_so_on_such_a_host(tmp_path: Path, scripts: dict[str, str], message: str) -> None:
    told = _run("/bin/sh", "local/setup.sh", path=_tools(tmp_path, **scripts))
    assert told.returncode == 1
    assert message in told.stderr


def test_setup_asks_an_ordinary_user_without_sudo_for_the_packages_by_name(tmp_path: Path) -> None:
    python = f'exec {sys.executable} "$@"'
    only = {name: f'exec {shutil.which(name)} "$@"' for name in ("uname", "grep")}
    _tools(
        tmp_path, python3=python, **only, **{"dpkg-query": "exit 1", "id": "echo 1000", "apt-get": "exit 1"}
    )
    told = _run("/bin/sh", "local/setup.sh", path=str(tmp_path))
    assert told.returncode == 1
    assert "run it as root once, or install: btrfs-progs" in told.stderr
