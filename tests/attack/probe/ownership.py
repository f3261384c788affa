"""Attempts with what files and users can be: others', set-user-id, unchangeable, marked for the kernel."""

import fcntl
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt, first_success
from .targets import Target

_OUTSIDE = 65_536 + 1
"""An id that no sandbox has, and that a host may have given to somebody."""

_SOMEBODY = 1000
_CLONE_NEWUSER = 0x10000000
_SET_FLAGS, _IMMUTABLE = 0x40086602, 0x10
_BTRFS_FS_INFO = 0x8400941F
_ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/sudoers")
_LOADED = ("/etc/ld.so.preload", "/etc/ld.so.cache", "/etc/profile")
_NODES = ("null", "zero", "urandom")


@contextmanager
def _own_file() -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="attack-", dir=Path.home()) as file:
        yield file.name


@attempt("EINVAL", weakness="root")
def become_a_user_of_the_host(target: Target) -> str:  # noqa: ARG001
    """Take an id beyond the sandbox's own range."""
    os.setresuid(_OUTSIDE, _OUTSIDE, _OUTSIDE)
    return f"is user {_OUTSIDE}"


@attempt("EPERM", weakness="root", to_root=("EINVAL",))
def join_a_group_of_the_host(target: Target) -> str:  # noqa: ARG001
    """Join a group beyond the sandbox's own range."""
    os.setgroups([_OUTSIDE])
    return f"joined group {_OUTSIDE}"


@attempt("EINVAL", weakness="root")
def give_file_to_a_user_of_the_host(target: Target) -> str:  # noqa: ARG001
    """Make an id beyond the sandbox's own range the owner of a file."""
    with _own_file() as path:
        os.chown(path, _OUTSIDE, _OUTSIDE)
    return f"gave a file to user {_OUTSIDE}"


@attempt("EPERM", "EACCES", weakness="root")
def map_more_ids(target: Target) -> str:  # noqa: ARG001
    """Write another range of ids for one's user namespace, or for a new one."""
    return first_success((_map_ids, _map_ids_of_a_new_namespace))


def _map_ids_of_a_new_namespace() -> str:
    kernel.call("unshare", _CLONE_NEWUSER)
    return _map_ids()


def _map_ids() -> str:
    Path("/proc/self/uid_map").write_text("0 0 1", encoding="ascii")
    return "mapped an id"


@attempt("EPERM", weakness="root", permitted_to_root="root of a sandbox is who its users become by sudo")
def make_setuid_program(target: Target) -> str:  # noqa: ARG001
    """Make a program of root's that runs as root, whoever starts it."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        Path(folder).chmod(0o755)
        program = Path(folder, "sleep")
        shutil.copyfile("/usr/bin/sleep", program)
        os.chown(program, 0, 0)
        program.chmod(stat.S_ISUID | 0o755)
        return f"the program ran as user {_effective_user(program)}"


def _effective_user(program: Path) -> int:
    with subprocess.Popen([program, "5"], user=_SOMEBODY, group=_SOMEBODY, extra_groups=[]) as process:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
        process.kill()
    user = int(status.partition("\nUid:")[2].split()[1])
    if user == _SOMEBODY:
        raise Refused("privileges unchanged")
    return user


@attempt("EACCES", weakness="user", permitted_to_root="the accounts are its own sandbox's")
def open_account_files(target: Target) -> str:  # noqa: ARG001
    """Open for writing what says who the users are, what they may and what their passwords are."""
    return first_success(partial(_open_for_writing, path) for path in _ACCOUNTS)


@attempt("EACCES", weakness="user", permitted_to_root="programs of its own sandbox; process 1 loads none")
def open_what_programs_load(target: Target) -> str:  # noqa: ARG001
    """Open for writing what every program, or every shell, loads as it starts."""
    return first_success(partial(_open_for_writing, path) for path in _LOADED)


def _open_for_writing(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return f"opened {path} for writing"


@attempt("EACCES", weakness="root", permitted_to_root="programs of its own sandbox; process 1 loads none")
def add_program_for_everybody(target: Target) -> str:  # noqa: ARG001
    """Make a program where all look for theirs."""
    return first_success(partial(_add_program, folder) for folder in os.environ["PATH"].split(":"))


def _add_program(folder: str) -> str:
    with tempfile.NamedTemporaryFile(prefix="attack-", dir=folder) as file:
        return f"made {file.name}"


@attempt("EPERM", weakness="lenient_kernel")
def make_file_immutable(target: Target) -> str:  # noqa: ARG001
    """Make a file that nobody can remove, so that a sandbox's disk would stay."""
    with _own_file() as path, Path(path).open("rb") as file:
        fcntl.ioctl(file, _SET_FLAGS, struct.pack("l", _IMMUTABLE))
    return "made a file immutable"


@attempt("EPERM", weakness="lenient_kernel")
def forge_marks_of_the_overlay(target: Target) -> str:  # noqa: ARG001
    """Mark a folder as one whose content lies elsewhere in the layers below."""
    with tempfile.TemporaryDirectory(prefix="attack-", dir=Path.home()) as folder:
        kernel.call("setxattr", folder, "trusted.overlay.redirect", b"/", 1, 0)
    return "redirected a folder"


@attempt("EPERM", weakness="lenient_kernel")
def make_whiteout(target: Target) -> str:  # noqa: ARG001
    """Make the node by which an overlay hides files of the layers below."""
    path = Path.home() / "attack-whiteout"
    try:
        kernel.call("mknodat", -100, str(path), stat.S_IFCHR | 0o600, 0)
    finally:
        path.unlink(missing_ok=True)
    return "made a whiteout"


@attempt("ENOTTY", weakness="lenient_kernel")
def reach_file_system_below_overlay(target: Target) -> str:  # noqa: ARG001
    """Ask the host's file system about itself; who reaches it could make volumes and drop quotas."""
    root = os.open(Path.home(), os.O_RDONLY)
    try:
        fcntl.ioctl(root, _BTRFS_FS_INFO, bytes(1024))
    finally:
        os.close(root)
    return "reached the file system below"


@attempt("EPERM", weakness="root", permitted_to_root="processes of its own sandbox")
def signal_another_user(target: Target) -> str:  # noqa: ARG001
    """Ask whether one may signal a process of another user."""
    somebody = _SOMEBODY + 1
    process = subprocess.Popen(["/usr/bin/sleep", "5"], user=somebody, group=somebody, extra_groups=[])
    try:
        os.kill(process.pid, 0)
    finally:
        process.kill()
        process.wait()
    return f"may signal process {process.pid} of user {somebody}"
