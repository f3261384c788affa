"""How envd starts a command: what it gets from its starter, and what is told where it cannot be started."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.command import Command, Standard
from local.sandboxes.envd.spawn import Spawner

ME = Account("me", os.getuid(), os.getgid(), "/")
ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    """One that starts commands as whoever runs the tests."""
    spawner = Spawner(ME, lambda: None)
    yield spawner
    spawner.close()


def holdings() -> tuple[set[str], set[str]]:
    """This process's descriptors and children, dead ones too."""
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    # The one that lists the folder is gone by then.
    fds = {str(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    return fds, set(children.split())


def output(spawner: Spawner, *argv: str, env: dict[str, str] = ENV, cwd: str = "/") -> str:
    """What a command prints, once it has ended well."""
    ours, theirs = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    standard = Standard(null, theirs, theirs)
    try:
        pid = spawner.spawn(Command(argv, env, cwd), standard)
    except BaseException:
        os.close(ours)
        raise
    finally:
        standard_fds = {null, theirs}
        for fd in standard_fds:
            os.close(fd)
    with os.fdopen(ours) as printed:
        text = printed.read()
    assert os.waitpid(pid, 0) == (pid, 0), text
    return text.strip()


def test_a_command_gets_its_arguments_environment_and_folder_and_nothing_else(
    spawner: Spawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "secret")
    script = "import os, sys; print(sorted(os.environ.items()), os.getcwd(), sys.argv[1:])"
    env = ENV | {"PATH": str(Path(sys.executable).parent), "É": "ü"}
    ran = output(spawner, Path(sys.executable).name, "-c", script, "ä b", "", env=env, cwd=str(tmp_path))
    assert ran == f"{sorted(env.items())} {tmp_path} {['ä b', '']}"


def test_a_command_leads_a_session_of_its_own_and_has_three_descriptors(spawner: Spawner) -> None:
    kept = os.open("/", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        script = (
            "import os; print(os.getsid(0) == os.getpid(), sorted(map(int, os.listdir('/proc/self/fd'))))"
        )
        is_leader, _, fds = output(spawner, sys.executable, "-c", script).partition(" ")
    finally:
        os.close(kept)
    assert is_leader == "True"
    # The fourth is the folder that is being listed.
    assert fds == "[0, 1, 2, 3]"


def test_a_command_has_the_signals_that_python_ignores(spawner: Spawner) -> None:
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    status = output(spawner, "grep", "SigIgn", "/proc/self/status")
    assert not int(status.split()[1], 16) >> (signal.SIGPIPE - 1) & 1


@pytest.mark.parametrize(
    ("program", "cwd", "code"),
    [
        ("no-such-program", "/", errno.ENOENT),
        ("/no/such/program", "/", errno.ENOENT),
        ("", "/", errno.EACCES),
        (os.devnull, "/", errno.EACCES),
        ("/etc/hostname/within", "/", errno.ENOTDIR),
        ("true", "/no/such/folder", errno.ENOENT),
        ("true", os.devnull, errno.ENOTDIR),
    ],
)
def test_what_cannot_be_started_is_told_and_leaves_no_process(
    spawner: Spawner, program: str, cwd: str, code: int
) -> None:
    before = holdings()
    with pytest.raises(OSError, match=r".") as refused:
        output(spawner, program, cwd=cwd)
    assert (refused.value.errno, refused.value.strerror) == (code, os.strerror(code))
    assert holdings() == before
    assert output(spawner, "echo", "on") == "on"


@pytest.mark.parametrize("argv", [("a\0b",), ("true", "a\0b")])
def test_text_that_no_command_can_have_is_refused(spawner: Spawner, argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="null"):
        output(spawner, *argv)
    assert output(spawner, "echo", "on") == "on"


def test_the_first_folder_of_the_path_that_has_the_program_counts(spawner: Spawner, tmp_path: Path) -> None:
    for number in (1, 2):
        program = tmp_path / str(number) / "which-one"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho {number}\n")
        program.chmod(0o755)
    path = f"{tmp_path}/none:{tmp_path}/2:{tmp_path}/1"
    assert output(spawner, "which-one", env={"PATH": path}) == "2"


def test_a_thread_that_cannot_be_what_its_commands_may_be_starts_none() -> None:
    def fail() -> None:
        raise PermissionError("not confined")

    spawner = Spawner(ME, fail)
    for _ in range(2):
        with pytest.raises(PermissionError, match="not confined"):
            output(spawner, "true")
    spawner.close()
