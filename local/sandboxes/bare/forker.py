"""A small process with envd imported that forks one daemon per request: a message in, its pid out."""

import json
import os
import shutil
import signal
import socket
import sys
from ctypes import CDLL
from pathlib import Path

from local.sandboxes.envd.accounts import Account, Accounts
from local.sandboxes.envd.daemon import run
from local.sandboxes.envd.guest import DEFAULT_ENVIRONMENT, Guest

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MAX_MESSAGE = 64 * 1024


def main() -> None:
    """Fork until the server is gone; with this process go its daemons and the directory that it was told.

    A message names the daemon's socket and home, and has a descriptor: its end of the line to the server.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(fileno=int(sys.argv[1]))
    try:
        while True:
            message, fds, _, _ = socket.recv_fds(server, _MAX_MESSAGE, 1)
            if not message:
                return
            request = json.loads(message)
            with socket.socket(fileno=fds[0]) as control:
                pid = _fork(server, control, Path(request["socket"]), request["home"])
            server.send(str(pid).encode())
    finally:
        shutil.rmtree(sys.argv[2], ignore_errors=True)


def _fork(server: socket.socket, control: socket.socket, path: Path, home: str) -> int:
    # Listening before the answer: whoever connects next is queued until the daemon accepts.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(128)
        pid = os.fork()
        if pid == 0:
            server.close()
            _become_daemon(control, listener, home)
    return pid


def _become_daemon(control: socket.socket, listener: socket.socket, home: str) -> None:
    libc = CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    accounts = {name: Account(name, os.getuid(), os.getgid(), home) for name in ("user", "root")}
    defaults = {**DEFAULT_ENVIRONMENT, "PATH": os.environ["PATH"]}
    run(control, listener, Guest(Accounts("none", accounts), lambda: None, defaults))


if __name__ == "__main__":
    main()
