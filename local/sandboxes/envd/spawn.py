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
from contextlib import suppress
from queue import SimpleQueue

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.command import Command, Standard, vfork_exec
from local.sandboxes.envd.confine import AGENT_OOM_SCORE
from local.sandboxes.kernel_files import write_kernel_file

# setresuid and setresgid: the C library's own would change all threads of the process.
_SETRESUID, _SETRESGID = {"x86_64": (117, 119), "aarch64": (147, 149)}[platform.machine()]
_libc = ctypes.CDLL(None, use_errno=True)


class Spawner:
    """Starts commands as one account. A process that exits must be reaped by the caller."""

    def __init__(self, account: Account, confine: Callable[[], None]) -> None:
        # One caller at a time waits for its answer: a process id, or why there is none.
        self._requests: SimpleQueue[tuple[Command, Standard] | None] = SimpleQueue()
        self._answers: SimpleQueue[int | BaseException] = SimpleQueue()
        arguments = (self._requests, self._answers, account, confine)
        self._thread = threading.Thread(target=_serve, args=arguments, daemon=True, name=f"as-{account.name}")
        self._thread.start()

    def spawn(self, command: Command, standard: Standard) -> int:
        """Start `command` and return its process id. Raises `OSError` if it could not be executed."""
        self._requests.put((command, standard))
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End its thread."""
        self._requests.put(None)
        self._thread.join()


def let_die_first(pid: int) -> None:
    """Have the kernel end a process before envd when memory is out. Its children get the score from it."""
    with suppress(OSError):  # It may be gone already.
        write_kernel_file(f"/proc/{pid}/oom_score_adj", str(AGENT_OOM_SCORE))


def _serve(
    requests: "SimpleQueue[tuple[Command, Standard] | None]",
    answers: "SimpleQueue[int | BaseException]",
    account: Account,
    confine: Callable[[], None],
) -> None:
    failure = _bind(account, confine)
    while request := requests.get():
        # A thread that is not what its commands may be starts none.
        answers.put(failure or _execute(*request))


def _bind(account: Account, confine: Callable[[], None]) -> BaseException | None:
    try:
        confine()
        _become(account)
    except BaseException as error:  # noqa: BLE001 - whoever wants to start a command must see it
        return error
    return None


def _execute(command: Command, standard: Standard) -> int | BaseException:
    try:
        return _at_terminal(command, standard) if standard.terminal else vfork_exec(command, standard)
    except BaseException as error:  # noqa: BLE001 - as above
        return error


def _at_terminal(command: Command, standard: Standard) -> int:
    # This forks: only the leader of the new session can take a terminal.
    process = subprocess.Popen(
        command.argv,
        env=command.env,
        cwd=command.cwd,
        stdin=standard.stdin,
        stdout=standard.stdout,
        stderr=standard.stderr,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - one call into the kernel
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
