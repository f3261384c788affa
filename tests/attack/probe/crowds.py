"""Attempts to use up, as one user after another, what the kernel counts for a user and not for a sandbox."""

import ctypes
import fcntl
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

from . import kernel
from .attempts import attempt
from .targets import Target
from .wire import hold

_MIB = 1024 * 1024
_F_SETPIPE_SZ = 1031
_FIRST_USER, _TAKEN_BY_EACH = 1001, 50


def _count_for(uid: int) -> None:
    """Be a user, for what the kernel counts by who a process is, with root's powers in reserve."""
    os.setresuid(0, 0, 0)
    os.setresuid(uid, 0, 0)


def _watch_for(uid: int) -> None:
    """The same for what it counts by what a process may."""
    os.setresuid(0, 0, 0)
    os.setresuid(0, uid, 0)


def _exhaust(what: str, enough: int, be: Callable[[int], None], take: Callable[[], int]) -> str:
    """Take a few as each user until refused, and hold what was had while the neighbours are looked at."""
    for taken in range(enough + 1):
        try:
            if taken % _TAKEN_BY_EACH == 0:
                be(_FIRST_USER + taken // _TAKEN_BY_EACH)
            take()
        except OSError:
            hold(f"{taken} {what}")
            raise
    return f"took {enough + 1} {what}"


@attempt("EPERM", weakness="root", to_root=("EMFILE",))
def open_file_watches_as_many_users(target: Target) -> str:
    """Make inotify instances."""
    enough = target.limits.inotify_instances
    return _exhaust("inotify instances", enough, _watch_for, lambda: kernel.call("inotify_init1", 0))


@attempt("EPERM", weakness="root", to_root=("EAGAIN",))
def queue_signals_as_many_users(target: Target) -> str:
    """Queue signals that nobody takes."""
    last = signal.SIGRTMAX
    signal.pthread_sigmask(signal.SIG_BLOCK, [last])
    information = ctypes.create_string_buffer(int(last).to_bytes(4, "little") + bytes(4) + b"\xff" * 4, 128)

    def take() -> int:
        return kernel.call("rt_sigqueueinfo", os.getpid(), last, kernel.address(information))

    return _exhaust("signals", target.limits.pending_signals, _count_for, take)


@attempt("EPERM", weakness="root", to_root=("SIGKILL", "ENOMEM"))
def fill_pipes_as_many_users(target: Target) -> str:
    """Fill pipes, of whose pages each user may have some, past the sandbox's memory."""
    # Offered to the kernel when memory runs out, so that the probe itself lives on.
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    filled, enough = 0, target.limits.memory_mb * _MIB + 32 * _MIB
    for uid in count(_FIRST_USER):
        _count_for(uid)
        while filled < enough and (size := _fill_pipe()):
            filled += size
        if filled >= enough:
            break
    return f"filled {filled // _MIB} MiB"


def _fill_pipe() -> int:
    """Make a large pipe and fill it; 0 if this user may not have one more."""
    _, writing = os.pipe()
    try:
        size = fcntl.fcntl(writing, _F_SETPIPE_SZ, _MIB)
    except PermissionError:
        return 0
    return os.write(writing, b"\1" * size)
