"""Makes a process out of a request to start one: checks it, lays its pipes, starts it."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.paths import check_text, resolve
from local.sandboxes.envd.process import Process, ProcessConfig
from local.sandboxes.envd.spawn import Command, Standard


@dataclass(frozen=True)
class StartRequest:
    """What the caller wants to run, and whether it will write to its stdin."""

    config: ProcessConfig
    stdin: bool

    @classmethod
    def parse(cls, message: Message) -> "StartRequest":
        """Check a request. Raises `ConnectError` for what is malformed or not supported."""
        if message.get("pty") is not None:
            raise ConnectError("unimplemented", "pseudo-terminals are not supported by this server")
        process = field(message, "process", dict, {})
        config = ProcessConfig(
            cmd=_text(field(process, "cmd", str, "")),
            args=tuple(_text(each) for each in field(process, "args", list, [])),
            envs={_name(key): _text(value) for key, value in field(process, "envs", dict, {}).items()},
            cwd=_text(field(process, "cwd", str, "")) or None,
            tag=field(message, "tag", str, "") or None,
        )
        if not config.cmd:
            raise ConnectError("invalid_argument", "'process.cmd' is missing")
        # Clients older than the field expect an open stdin.
        return cls(config, field(message, "stdin", bool, default=True))


def launch(
    guest: Guest, account: Account, request: StartRequest, on_end: Callable[[Process], None]
) -> tuple[Process, Standard]:
    """Start the process; returns it with the daemon's ends of its stdin, stdout and stderr.

    Raises `ConnectError` if its directory or its program does not exist.
    """
    config = request.config
    cwd = _directory(config.cwd, account)
    command = Command((config.cmd, *config.args), guest.environment(account, config.envs), cwd)
    with ExitStack() as theirs:
        ours, given = _pipes(theirs, stdin=request.stdin)
        try:
            pid = guest.spawner(account).spawn(command, given)
        except OSError as error:
            ours.close()
            raise ConnectError(
                "invalid_argument", f"'{config.cmd}' can not be started: {error.strerror}"
            ) from None
    return Process(pid, config, on_end), ours


def _directory(cwd: str | None, account: Account) -> str:
    path = resolve(cwd or "", account)
    with acting_as(account):
        if not path.is_dir():
            raise ConnectError("invalid_argument", f"cwd '{path}' does not exist")
    return str(path)


def _pipes(theirs: ExitStack, *, stdin: bool) -> tuple[Standard, Standard]:
    """The daemon's ends and the command's, which `theirs` closes."""
    their_input, input_end = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), None)
    stdout_end, their_stdout = os.pipe()
    stderr_end, their_stderr = os.pipe()
    given = Standard(their_input, their_stdout, their_stderr)
    theirs.callback(given.close)
    return Standard(input_end, stdout_end, stderr_end), given


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConnectError("invalid_argument", "commands, arguments and variables are text")
    check_text(value)
    return value


def _name(value: str) -> str:
    if not value or "=" in value:
        raise ConnectError("invalid_argument", f"'{value}' is no name for an environment variable")
    return _text(value)
