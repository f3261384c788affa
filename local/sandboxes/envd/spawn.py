"""Starts a command: fork, become the account, confine, exec."""

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from local.sandboxes.envd.accounts import Account

_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
"""The ones that Python ignores; an ignored signal stays ignored across exec."""


@dataclass(frozen=True)
class Command:
    """What to run: a program found in the environment's PATH, and all it starts with."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    account: Account


@dataclass(frozen=True)
class Standard:
    """File descriptors for a command's stdin, stdout and stderr: its own, or the daemon's ends of them."""

    stdin: int | None
    stdout: int
    stderr: int

    def close(self) -> None:
        """Close them all."""
        for fd in (self.stdin, self.stdout, self.stderr):
            if fd is not None:
                os.close(fd)


def spawn(command: Command, standard: Standard, confine: Callable[[], None]) -> int:
    """Start `command` and return its process id. Raises `OSError` if it could not be executed.

    `confine` runs in the child while it still has envd's identity. Not `subprocess`: it
    would wait for the children that pid 1 has to reap itself, and asyncio's starts threads.
    """
    reports, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(command, standard, confine, report)
    os.close(report)
    with os.fdopen(reports, "rb") as pipe:
        failure = pipe.read(4)
    if failure:
        os.waitpid(pid, 0)
        code = int.from_bytes(failure, "big")
        raise OSError(code, os.strerror(code), command.argv[0])
    return pid


def _become(command: Command, standard: Standard, confine: Callable[[], None], report: int) -> NoReturn:
    code = errno.EIO
    try:
        # Never back into envd's code, whatever goes wrong here.
        os.setsid()
        _arrange(standard)
        confine()
        _take_identity(command.account)
        os.chdir(command.cwd)
        for each in _RESET_SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(command.argv[0], command.argv, command.env)  # noqa: S606 - no shell is the point
    except OSError as error:
        code = error.errno or code
    finally:
        with contextlib.suppress(OSError):
            os.write(report, code.to_bytes(4, "big"))
        os._exit(127)


def _arrange(standard: Standard) -> None:
    # Descriptors 0 to 2 are open in envd, so no pipe end can be one of them.
    for target, source in enumerate((standard.stdin, standard.stdout, standard.stderr)):
        if source is not None:
            os.dup2(source, target)


def _take_identity(account: Account) -> None:
    if account.uid == os.geteuid():
        return
    os.setgroups([account.gid])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
