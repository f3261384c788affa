"""Starts commands from a thread that already is confined and already is the account.

Identity, capabilities, no_new_privs and seccomp filters belong to a thread in Linux, and a child
gets those of the thread that starts it. So one thread per account becomes, once, what its commands
may be; each start is then a plain vfork and exec, which takes a thirtieth of a fork of this process.
"""

import ctypes
import fcntl
import os
import platform
import subprocess
import termios
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.confine import AGENT_OOM_SCORE
from local.sandboxes.kernel_files import write_kernel_file

# setresuid and setresgid: the C library's own would change all threads of the process.
_SETRESUID, _SETRESGID = {"x86_64": (117, 119), "aarch64": (147, 149)}[platform.machine()]
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Command:
    """What to run: a program found in the environment's PATH, and all it starts with."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str


@dataclass(frozen=True)
class Standard:
    """File descriptors for a command's stdin, stdout and stderr; with `terminal`, all are one terminal."""

    stdin: int
    stdout: int
    stderr: int
    terminal: bool = False

    def close(self) -> None:
        """Close them all."""
        for fd in {self.stdin, self.stdout, self.stderr}:
            os.close(fd)


_Request = tuple[Command, Standard, "Future[int]"]


class Spawner:
    """Starts commands as one account. A process that exits must be reaped by the caller."""

    def __init__(self, account: Account, confine: Callable[[], None]) -> None:
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._ready: Future[None] = Future()
        arguments = (self._ready, self._requests, account, confine)
        self._thread = threading.Thread(target=_serve, args=arguments, daemon=True, name=f"as-{account.name}")
        self._thread.start()

    def spawn(self, command: Command, standard: Standard) -> int:
        """Start `command` and return its process id. Raises `OSError` if it could not be executed."""
        self._ready.result()
        started: Future[int] = Future()
        self._requests.put((command, standard, started))
        pid = started.result()
        # It may be gone already. Its children get the score from it.
        with suppress(OSError):
            write_kernel_file(f"/proc/{pid}/oom_score_adj", str(AGENT_OOM_SCORE))
        return pid

    def close(self) -> None:
        """End its thread."""
        self._requests.put(None)
        self._thread.join()


def _serve(
    ready: "Future[None]",
    requests: "SimpleQueue[_Request | None]",
    account: Account,
    confine: Callable[[], None],
) -> None:
    try:
        confine()
        _become(account)
    except BaseException as error:  # noqa: BLE001 - whoever wants to start a command must see it
        ready.set_exception(error)
        return
    ready.set_result(None)
    while request := requests.get():
        command, standard, started = request
        try:
            started.set_result(_execute(command, standard))
        except BaseException as error:  # noqa: BLE001 - as above
            started.set_exception(error)


def _execute(command: Command, standard: Standard) -> int:
    # Without a function to run in between, and without an identity to take, this does not fork but vfork.
    # A terminal needs one: only the leader of the new session can take it.
    process = subprocess.Popen(
        command.argv,
        env=command.env,
        cwd=command.cwd,
        stdin=standard.stdin,
        stdout=standard.stdout,
        stderr=standard.stderr,
        start_new_session=True,
        preexec_fn=_take_terminal if standard.terminal else None,  # noqa: PLW1509 - one call into the kernel
    )
    # Pid 1 reaps all its children itself; without a return code Popen would try to, later.
    process.returncode = 0
    return process.pid


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _become(account: Account) -> None:
    if account.uid == os.geteuid():
        return
    for number, value in ((_SETRESGID, account.gid), (_SETRESUID, account.uid)):
        if _libc.syscall(ctypes.c_long(number), *[ctypes.c_uint(value)] * 3) == -1:
            code = ctypes.get_errno()
            raise OSError(code, f"become {account.name}: {os.strerror(code)}")
