"""What a neighbour needs to work: run in another sandbox while an attack holds on, it prints what fails."""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

_INOTIFY_INIT1, _RT_SIGQUEUEINFO = (294, 129) if os.uname().machine == "x86_64" else (26, 138)
_F_GETPIPE_SZ = 1032
_USUAL_PIPE = 65_536
_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    returned = int(_libc.syscall(number, *arguments))
    if returned < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return returned


def start_process() -> None:
    """Start a process."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def start_thread() -> None:
    """Start a thread."""
    thread = threading.Thread(target=str)
    thread.start()
    thread.join()


def write_file() -> None:
    """Write a file, down to the disk."""
    with tempfile.TemporaryFile(dir=Path.home()) as file:
        file.write(b"\1" * 65_536)
        os.fsync(file.fileno())


def take_memory() -> None:
    """Use some memory."""
    bytearray(b"\1" * 8 * 1024 * 1024)


def open_sockets() -> None:
    """Talk to oneself."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        server.accept()[0].close()


def watch_files() -> None:
    """Watch files, as every development server does."""
    os.close(_call(_INOTIFY_INIT1, 0))


def open_pipe() -> None:
    """Open a pipe of the usual size."""
    reading, writing = os.pipe()
    size = fcntl.fcntl(reading, _F_GETPIPE_SZ)
    os.close(reading)
    os.close(writing)
    if size < _USUAL_PIPE:
        raise OSError(errno.EPERM, f"a pipe of only {size} bytes")


def pass_descriptor() -> None:
    """Send an open file through a socket, as a parent hands work to its children."""
    here, there = socket.socketpair()
    with here, there:
        socket.send_fds(here, [b"."], [0])


def queue_signal() -> None:
    """Queue a signal for oneself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    information = ctypes.create_string_buffer(
        int(signal.SIGRTMIN).to_bytes(4, "little") + bytes(4) + b"\xff" * 4, 128
    )
    _call(_RT_SIGQUEUEINFO, os.getpid(), int(signal.SIGRTMIN), information)


CHECKS = (
    start_process,
    start_thread,
    write_file,
    take_memory,
    open_sockets,
    watch_files,
    open_pipe,
    pass_descriptor,
    queue_signal,
)


def main() -> int:
    """Try everything; print what failed and how."""
    failures = []
    for check in CHECKS:
        try:
            check()
        except (OSError, RuntimeError, MemoryError) as error:
            failures.append(f"{check.__name__}: {error}")
    print("; ".join(failures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
