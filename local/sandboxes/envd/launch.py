"""Makes a process out of a request to start one: checks it, connects it, starts it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.paths import check_text, resolve
from local.sandboxes.envd.process import Process, ProcessConfig
from local.sandboxes.envd.spawn import Command
from local.sandboxes.envd.streams import Ends, Size, open_pipes, open_terminal


@dataclass(frozen=True)
class StartRequest:
    """What the caller wants to run, and whether it will write to its stdin or sits at a terminal."""

    config: ProcessConfig
    stdin: bool
    terminal: Size | None = None

    @classmethod
    def parse(cls, message: Message) -> "StartRequest":
        """Check a request. Raises `ConnectError` for what is malformed."""
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
        stdin = field(message, "stdin", bool, default=True)
        pty = field(message, "pty", dict, {}) if message.get("pty") is not None else None
        return cls(config, stdin, None if pty is None else Size.parse(pty))


def launch(
    guest: Guest, account: Account, request: StartRequest, on_end: Callable[[Process], None]
) -> tuple[Process, Ends]:
    """Start the process; returns it with the daemon's ends of its pipes or its terminal.

    Raises `ConnectError` if its directory or its program does not exist.
    """
    config = request.config
    cwd = _directory(config.cwd, account)
    command = Command((config.cmd, *config.args), guest.environment(account, config.envs), cwd)
    ours, theirs = (
        open_terminal(request.terminal, account) if request.terminal else open_pipes(stdin=request.stdin)
    )
    with closing(theirs):
        try:
            pid = guest.spawner(account).spawn(command, theirs)
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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConnectError("invalid_argument", "commands, arguments and variables are text")
    check_text(value)
    return value


def _name(value: str) -> str:
    if not value or "=" in value:
        raise ConnectError("invalid_argument", f"'{value}' is no name for an environment variable")
    return _text(value)
