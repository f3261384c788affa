"""A small process with envd imported that forks one daemon per request: a line in, a line out."""

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


def main() -> None:
    """Fork until stdin ends; with this process go its daemons and the directory that it was told."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        for line in sys.stdin:
            request = json.loads(line)
            pid = _fork(Path(request["socket"]), request["home"])
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(sys.argv[1], ignore_errors=True)


def _fork(path: Path, home: str) -> int:
    # Listening before the answer: whoever connects next is queued until the daemon accepts.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(128)
        pid = os.fork()
        if pid == 0:
            _become_daemon(listener, home)
    return pid


def _become_daemon(listener: socket.socket, home: str) -> None:
    libc = CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    accounts = {name: Account(name, os.getuid(), os.getgid(), home) for name in ("user", "root")}
    defaults = {**DEFAULT_ENVIRONMENT, "PATH": os.environ["PATH"]}
    run(listener, Guest(Accounts("none", accounts), lambda: None, defaults))


if __name__ == "__main__":
    main()
