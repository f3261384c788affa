"""Attempts to become somebody else, or to gain capabilities and privileges."""

import ctypes
import os
import resource
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt
from .targets import Target

_SETUID_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/local", "/opt", "/bin", "/sbin")
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAP_SYS_ADMIN = 21
_ONLY_CAP_CHOWN = struct.pack("<IIIII", 0x02000001, 1, 0, 0, 0)


def _setuid_files() -> Iterator[Path]:
    for folder in _SETUID_FOLDERS:
        for path in Path(folder).rglob("*"):
            with suppress(OSError):
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                    yield path


@attempt(
    "privileges unchanged",
    "no setuid program",
    weakness="user",
    permitted_to_root="it may be any user of its own sandbox",
)
def gain_root_by_setuid_program(target: Target) -> str:  # noqa: ARG001
    """Start each setuid program and look whether it runs as somebody else."""
    refusal = Refused("no setuid program")
    for path in _setuid_files():
        refusal = Refused("privileges unchanged", str(path))
        if identity := _identity_when_run(path):
            return f"{path} ran as {identity}"
    raise refusal


def _identity_when_run(program: Path) -> str:
    """The effective ids of a fresh process of `program`, or nothing if they are the caller's own."""
    try:
        # A program that waits for input or sleeps is still there to be asked.
        process = subprocess.Popen(
            [program, "5"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:
        return ""
    try:
        os.kill(process.pid, signal.SIGSTOP)
        # Until it has stopped or ended, it may still be on its way to its new identity.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    finally:
        process.kill()
        process.communicate()
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    ids = int(rows["Uid"].split()[1]), int(rows["Gid"].split()[1])
    return "" if ids == (os.geteuid(), os.getegid()) else f"user {ids[0]}, group {ids[1]}"


@attempt("kept", weakness="user", permitted_to_root="sudo is a setuid program of the sandbox's own")
def find_new_privileges_allowed(target: Target) -> str:  # noqa: ARG001
    """Look whether an executed program could ever gain privileges."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.split() == ["NoNewPrivs:", "1"]:
            raise Refused("kept", "no_new_privs is set")
    return "no_new_privs is not set"


@attempt("EPERM", weakness="root", permitted_to_root="it is root already")
def become_root(target: Target) -> str:  # noqa: ARG001
    """Set one's user id to 0."""
    os.setresuid(0, 0, 0)
    return "is user 0"


@attempt("EPERM", weakness="root", permitted_to_root="it may be any user of its own sandbox")
def become_another_user(target: Target) -> str:  # noqa: ARG001
    """Set one's user id to that of another account."""
    os.setresuid(1, 1, 1)
    return "is user 1"


@attempt("EPERM", weakness="root", permitted_to_root="it may be any user of its own sandbox")
def join_groups(target: Target) -> str:  # noqa: ARG001
    """Join the groups that own disks and logs."""
    os.setgroups([4, 6])
    return "joined groups 4 and 6"


@attempt("EPERM", weakness="root", permitted_to_root="it holds CAP_CHOWN in its own user namespace")
def raise_capabilities(target: Target) -> str:  # noqa: ARG001
    """Set a capability."""
    header = ctypes.create_string_buffer(struct.pack("<II", 0x20080522, 0))
    data = ctypes.create_string_buffer(struct.pack("<6I", 1, 1, 0, 0, 0, 0))
    kernel.call("capset", kernel.address(header), kernel.address(data))
    return "holds CAP_CHOWN"


@attempt("none held", weakness="root", permitted_to_root="it holds eight in its own user namespace")
def hold_capabilities(target: Target) -> str:  # noqa: ARG001
    """Look for capabilities in any of one's sets, the bounding set included."""
    held = []
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.startswith("Cap") and int(value, 16):
            held.append(line)
    if not held:
        raise Refused("none held")
    return ", ".join(held)


@attempt(
    "EPERM",
    weakness="root",
    permitted_to_root="files of its own sandbox may belong to any of its users",
)
def give_file_away(target: Target) -> str:  # noqa: ARG001
    """Make root the owner of an own file."""
    with _own_file() as path:
        os.chown(path, 0, 0)
        os.chown(path, 1, 1)
    return "changed an owner"


@attempt("EPERM", weakness="root")
def give_file_capabilities(target: Target) -> str:  # noqa: ARG001
    """Attach capabilities to an own program, for whoever executes it."""
    with _own_file() as path:
        os.setxattr(path, "security.capability", _ONLY_CAP_CHOWN)
    return "set file capabilities"


@contextmanager
def _own_file() -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="attack-", dir=Path.home()) as file:
        yield file.name


@attempt("EPERM", "EACCES", weakness="lenient_kernel")
def run_before_everybody(target: Target) -> str:  # noqa: ARG001
    """Ask for real-time scheduling, which starves all others."""
    priority = ctypes.create_string_buffer(struct.pack("i", 1))
    kernel.call("sched_setscheduler", 0, 1, kernel.address(priority))
    return "runs in real time"


@attempt("EPERM", "EACCES", weakness="lenient_kernel")
def raise_own_priority(target: Target) -> str:  # noqa: ARG001
    """Take a better priority than others."""
    kernel.call("setpriority", 0, 0, -20)
    return "runs at priority -20"


@attempt("EPERM", weakness="lenient_kernel")
def raise_own_limits(target: Target) -> str:  # noqa: ARG001
    """Raise the hard limit on open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = ctypes.create_string_buffer(struct.pack("QQ", hard + 1, hard + 1))
    kernel.call("prlimit64", 0, resource.RLIMIT_NOFILE, kernel.address(limits), 0)
    return f"raised the limit of {hard}"


@attempt("privileges unchanged", "no such program", weakness="user", permitted_to_root="it is root already")
def ask_sudo(target: Target) -> str:  # noqa: ARG001
    """Ask the sandbox's own tools for root, without a password."""
    programs = [program for program in ("sudo", "doas", "pkexec") if shutil.which(program)]
    for program in programs:
        command = [program, "-n", "id", "-u"]
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=False, stdin=subprocess.DEVNULL
        )
        if told.stdout.strip() == "0":
            return f"{program} gives root"
    raise Refused("privileges unchanged" if programs else "no such program")
