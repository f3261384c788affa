"""Attempts to use up what the kernel counts for the whole machine or for a user: descriptors and such."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

from . import kernel
from .attempts import attempt
from .targets import Target
from .wire import hold

_F_SETPIPE_SZ = 1031
_MOST_AT_ONCE = 253
"""How many descriptors one message carries (`SCM_MAX_FD`)."""


def _exhaust(what: str, enough: int, take: Callable[[], int]) -> str:
    """Take until refused, hold what was had while the neighbours are looked at, then give it back."""
    taken: list[int] = []
    try:
        while len(taken) <= enough:
            taken.append(take())
        return f"took {len(taken)} {what}"
    except OSError:
        hold(f"{len(taken)} {what}")
        raise
    finally:
        for descriptor in taken:
            with contextlib.suppress(OSError):
                os.close(descriptor)


@attempt("EMFILE", weakness="root")
def open_files_without_end(target: Target) -> str:
    """Open more files than a process of the sandbox may."""
    return _exhaust("files", target.limits.open_files, lambda: os.open("/dev/null", os.O_RDONLY))


@attempt("EMFILE", "ENOBUFS", weakness="root")
def open_sockets_without_end(target: Target) -> str:
    """Open more sockets than a process of the sandbox may."""

    def take() -> int:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()

    return _exhaust("sockets", target.limits.open_files, take)


@attempt("EMFILE", "EPERM", "ENOSYS", weakness="root")
def open_file_watches_without_end(target: Target) -> str:
    """Make inotify instances, which the kernel counts for a user of the host, not for a sandbox."""
    return _exhaust(
        "inotify instances", target.limits.inotify_instances, lambda: kernel.call("inotify_init1", 0)
    )


@attempt("EPERM", "EMFILE", weakness="root")
def widen_pipes_without_end(target: Target) -> str:
    """Make large pipes, whose pages the kernel counts for a user of the host."""

    def take() -> int:
        reading, writing = os.pipe()
        os.close(writing)
        fcntl.fcntl(reading, _F_SETPIPE_SZ, 1024 * 1024)
        return reading

    return _exhaust("pipes of a megabyte", target.limits.wide_pipes, take)


@attempt("ETOOMANYREFS", weakness="root")
def pass_descriptors_without_end(target: Target) -> str:
    """Send open files through a socket and never receive them: the kernel counts those on their way."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    passed = 0
    with here, there, Path(os.devnull).open("rb") as file:
        try:
            while passed <= target.limits.open_files + 2 * _MOST_AT_ONCE:
                socket.send_fds(here, [b"."], [file.fileno()] * _MOST_AT_ONCE)
                passed += _MOST_AT_ONCE
        except OSError:
            hold(f"{passed} files on their way")
            raise
    return f"sent {passed} files"
