"""A command and how a thread starts one: by vfork and exec, with nothing of Python in between."""

import os
import sys
from _posixsubprocess import fork_exec
from contextlib import suppress
from dataclasses import dataclass

_MAX_FAILURE = 256
# Python 3.14 always uses vfork where it can.
_MAY_VFORK = (True,) if sys.version_info < (3, 14) else ()


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


def vfork_exec(command: Command, standard: Standard) -> int:
    """Start `command` in a session of its own and return its process id. Raises `OSError` if that fails.

    It gets the calling thread's identity, no descriptors but `standard`, and signals as a shell has them.
    `subprocess.Popen` does the same through a thousand lines that a sandbox would have to load for it.
    """
    failure, told = os.pipe()
    try:
        try:
            pid = _fork_exec(command, standard, failure, told)
        finally:
            os.close(told)
        # Closed by the exec, unless that fails.
        report = os.read(failure, _MAX_FAILURE)
    finally:
        os.close(failure)
    if report:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise _failure(report)
    return pid


def _fork_exec(command: Command, standard: Standard, failure: int, told: int) -> int:
    # As `subprocess` calls it, whose own part in C this is: no ends of pipes that are ours, no process group,
    # no identity and no function in between.
    close_others = restore_signals = new_session = True
    ours = process_group = mask = -1
    pipes = (standard.stdin, ours, ours, standard.stdout, ours, standard.stderr, failure, told)
    return fork_exec(
        command.argv,
        _candidates(command),
        close_others,
        (told,),
        command.cwd,
        [os.fsencode(f"{name}={value}") for name, value in command.env.items()],
        *pipes,
        restore_signals,
        new_session,
        process_group,
        *(None, None, None, mask),
        None,  # type: ignore[arg-type]
        *_MAY_VFORK,
    )


def _candidates(command: Command) -> list[bytes]:
    """Where the program may be: at its path, or in each folder of the PATH it gets."""
    program = os.fsencode(command.argv[0])
    if b"/" in program:
        return [program]
    return [os.path.join(os.fsencode(folder), program) for folder in os.get_exec_path(command.env)]  # noqa: PTH118


def _failure(report: bytes) -> OSError:
    # The name of an exception, a number in hexadecimal, and where it failed if not in the exec.
    _, _, rest = report.partition(b":")
    number, _, _ = rest.partition(b":")
    code = int(number, 16)
    return OSError(code, os.strerror(code))
