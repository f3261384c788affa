"""Attempts to use more memory than the sandbox may, by each road on which the kernel hands it out."""

import ctypes
import os
import socket
from pathlib import Path

from . import kernel
from .attempts import attempt
from .targets import Target

_MIB = 1024 * 1024
_CHUNK = 16 * _MIB


def _volunteer() -> None:
    """Offer this process to the kernel when memory runs out, so that the probe itself lives on."""
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _past_limit(target: Target) -> int:
    return target.limits.memory_mb * _MIB + 2 * _CHUNK


@attempt("SIGKILL", "ENOMEM", weakness="root")
def take_memory(target: Target) -> str:
    """Fill pages of one's own."""
    _volunteer()
    chunks: list[bytes] = []
    while len(chunks) * _CHUNK < _past_limit(target):
        chunks.append(b"\1" * _CHUNK)
    return f"filled {len(chunks) * _CHUNK // _MIB} MiB"


@attempt("SIGKILL", "ENOSPC", "ENOENT", "EACCES", weakness="root")
def take_shared_memory(target: Target) -> str:
    """Fill files in /dev/shm, which live in memory."""
    _volunteer()
    path = Path("/dev/shm/castari-attack")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    path.unlink()
    return _fill(descriptor, target)


@attempt("SIGKILL", "ENOSPC", "EPERM", "ENOSYS", weakness="root")
def take_memory_files(target: Target) -> str:
    """Fill a file that exists in memory alone."""
    _volunteer()
    return _fill(os.memfd_create("castari-attack"), target)


def _fill(descriptor: int, target: Target) -> str:
    chunk = b"\1" * _CHUNK
    written = 0
    while written < _past_limit(target):
        written += os.write(descriptor, chunk)
    return f"filled {written // _MIB} MiB"


@attempt("SIGKILL", "ENOMEM", "ENOSPC", "EINVAL", "EPERM", "ENOSYS", weakness="root")
def take_system_v_memory(target: Target) -> str:
    """Fill a System V segment, which outlives its process unless it is marked."""
    _volunteer()
    size = _past_limit(target)
    segment = kernel.call("shmget", 0, size, 0o1600)
    try:
        start = kernel.call("shmat", segment, 0, 0)
    finally:
        kernel.call("shmctl", segment, 0, 0)
    for offset in range(0, size, _CHUNK):
        ctypes.memset(start + offset, 1, min(_CHUNK, size - offset))
    return f"filled {size // _MIB} MiB"


@attempt("SIGKILL", "EMFILE", "ENOBUFS", weakness="root")
def take_socket_memory(target: Target) -> str:
    """Fill the buffers of sockets, which are the kernel's memory and not the agent's."""
    _volunteer()
    pairs: list[tuple[socket.socket, socket.socket]] = []
    held = 0
    while held < _past_limit(target):
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pairs.append(pair)
        pair[0].setblocking(False)
        held += _stuff(pair[0])
    return f"filled {held // _MIB} MiB"


def _stuff(sender: socket.socket) -> int:
    sent = 0
    try:
        while True:
            sent += sender.send(b"\1" * 65_536)
    except BlockingIOError:
        return sent
