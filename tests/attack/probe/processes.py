"""Attempts on processes that are not the agent's own: the sandbox's envd, the host's, the neighbours'."""

import ctypes
import errno
import os
import signal
import struct
from contextlib import suppress
from functools import partial
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt, first_success
from .targets import Target

_PTRACE_ATTACH, _PTRACE_DETACH, _PTRACE_SEIZE = 16, 17, 0x4206
_RLIMIT_NOFILE = 7
_HARMLESS = (signal.SIGCHLD, 32, 33)
"""Signals that may be handled: of ended children, and two whose sender the C library checks."""


@attempt("EPERM", weakness="root")
def trace_init(target: Target) -> str:  # noqa: ARG001
    """Attach to process 1 as its debugger."""
    kernel.call("ptrace", _PTRACE_SEIZE, 1, 0, 0)
    return "seized process 1"


@attempt("ESRCH", "EPERM", weakness="root")
def trace_foreign_processes(target: Target) -> str:
    """Attach to processes by the numbers that they have on the host."""
    return first_success(partial(_trace, pid) for pid in target.foreign_pids)


def _trace(pid: int) -> str:
    kernel.call("ptrace", _PTRACE_SEIZE, pid, 0, 0)
    return f"seized process {pid}"


@attempt(
    "EPERM",
    weakness="root",
    permitted_to_root="both are user 0, and process 1 acts on no signal: `signal_threads_of_init`",
)
def signal_init(target: Target) -> str:  # noqa: ARG001
    """Ask whether one may signal process 1. Signal 0 asks and does nothing."""
    os.kill(1, 0)
    return "may signal process 1"


@attempt("EPERM", "nothing it would act on", weakness="root")
def signal_threads_of_init(target: Target) -> str:  # noqa: ARG001
    """Ask the same for each thread of process 1, which may have another identity than the first.

    The kernel keeps signals from inside a sandbox away from its process 1, but for those that it handles.
    """
    told = first_success(partial(_may_signal, tid) for tid in _threads_of_init())
    rows = dict(
        line.split(":", 1) for line in Path("/proc/1/status").read_text(encoding="ascii").splitlines()
    )
    caught = int(rows["SigCgt"], 16) & ~sum(1 << (number - 1) for number in _HARMLESS)
    if not caught:
        raise Refused("nothing it would act on", told)
    return f"{told}, which handles the signals {caught:#x}"


@attempt("EPERM", weakness="root")
def limit_threads_of_init(target: Target) -> str:  # noqa: ARG001
    """Ask for a limit of each thread of process 1: who may ask may set it, for the whole process."""
    return first_success(partial(_read_limit, tid) for tid in _threads_of_init())


def _threads_of_init() -> list[int]:
    return [int(path.name) for path in Path("/proc/1/task").iterdir()]


def _read_limit(pid: int) -> str:
    limits = ctypes.create_string_buffer(16)
    kernel.call("prlimit64", pid, _RLIMIT_NOFILE, 0, kernel.address(limits))
    return f"read limits of {pid}: {struct.unpack('QQ', limits.raw)}"


@attempt("ESRCH", weakness="root")
def signal_foreign_processes(target: Target) -> str:
    """Ask whether one may signal processes by the numbers that they have on the host."""
    return first_success(partial(_may_signal, pid) for pid in target.foreign_pids)


def _may_signal(pid: int) -> str:
    os.kill(pid, 0)
    return f"may signal process {pid}"


@attempt("only processes of the sandbox", weakness="root")
def see_foreign_processes(target: Target) -> str:
    """Look for the host's processes in /proc."""
    for pid in target.foreign_pids:
        with suppress(OSError):
            return f"sees process {pid}: {Path(f'/proc/{pid}/stat').read_text(encoding='ascii')[:40]}"
    raise Refused("only processes of the sandbox")


@attempt("EACCES", "EPERM", weakness="root")
def read_memory_of_init(target: Target) -> str:  # noqa: ARG001
    """Open the memory of process 1 as a file."""
    os.close(os.open("/proc/1/mem", os.O_RDONLY))
    return "opened the memory of process 1"


@attempt("EPERM", "ENOSYS", weakness="root")
def copy_memory_of_init(target: Target) -> str:  # noqa: ARG001
    """Read the memory of process 1 with the call made for debuggers, at the address of nothing."""
    buffer = ctypes.create_string_buffer(8)
    local = ctypes.create_string_buffer(struct.pack("QQ", kernel.address(buffer), 8))
    remote = ctypes.create_string_buffer(struct.pack("QQ", 4096, 8))
    try:
        kernel.call("process_vm_readv", 1, kernel.address(local), 1, kernel.address(remote), 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:  # allowed, and nothing is at that address
            raise
    return "may read the memory of process 1"


@attempt("EACCES", "EPERM", weakness="root")
def read_environment_of_init(target: Target) -> str:  # noqa: ARG001
    """Read the environment of process 1, where secrets may lie."""
    return f"read {len(Path('/proc/1/environ').read_bytes())} bytes"


@attempt("EPERM", "ENOSYS", weakness="root")
def steal_descriptor_of_init(target: Target) -> str:  # noqa: ARG001
    """Copy an open descriptor out of process 1, such as the socket on which envd listens."""
    process = kernel.call("pidfd_open", 1, 0)
    try:
        kernel.drop(kernel.call("pidfd_getfd", process, 0, 0))
    finally:
        kernel.drop(process)
    return "copied a descriptor of process 1"


@attempt("EPERM", "ENOSYS", weakness="root")
def compare_with_init(target: Target) -> str:  # noqa: ARG001
    """Compare kernel objects with those of process 1, which gives away where they lie."""
    return f"compared: {kernel.call('kcmp', os.getpid(), 1, 1, 0, 0)}"


@attempt("EPERM", weakness="root")
def read_limits_of_init(target: Target) -> str:  # noqa: ARG001
    """Read, and so be able to set, the limits of process 1."""
    return _read_limit(1)


@attempt("EPERM", weakness="root")
def bind_init_to_a_core(target: Target) -> str:  # noqa: ARG001
    """Set the processors on which process 1 may run, to those that it has."""
    os.sched_setaffinity(1, os.sched_getaffinity(1))
    return "set the affinity of process 1"


@attempt("EPERM", weakness="root")
def slow_init_down(target: Target) -> str:  # noqa: ARG001
    """Set the priority of process 1, to the one that it has."""
    os.setpriority(os.PRIO_PROCESS, 1, os.getpriority(os.PRIO_PROCESS, 1))
    return "set the priority of process 1"


@attempt("EPERM", weakness="lenient_kernel")
def forge_signal_information(target: Target) -> str:  # noqa: ARG001
    """Queue a signal that claims to come from the kernel."""
    information = ctypes.create_string_buffer(struct.pack("iii", signal.SIGCONT, 0, 1), 128)
    kernel.call("rt_sigqueueinfo", os.getppid(), signal.SIGCONT, kernel.address(information))
    return "queued a forged signal"
