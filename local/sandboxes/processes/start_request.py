"""A client's wish to start a process, checked as far as that is possible outside the sandbox."""

from dataclasses import dataclass
from dataclasses import field as attribute

from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.control import Order
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.paths import check_text
from local.sandboxes.processes.streams import Size


@dataclass(frozen=True)
class ProcessConfig:
    """A process as its starter described it."""

    cmd: str
    args: tuple[str, ...] = ()
    envs: dict[str, str] = attribute(default_factory=dict)
    cwd: str | None = None
    tag: str | None = None

    def to_json(self, pid: int) -> Message:
        """Its entry in a list of processes."""
        config = {"cmd": self.cmd, "args": list(self.args), "envs": self.envs}
        entry: Message = {"pid": pid, "config": config | ({"cwd": self.cwd} if self.cwd else {})}
        return entry | ({"tag": self.tag} if self.tag else {})


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

    def order(self, user: str) -> Order:
        """What the sandbox's first process is told; no `user` means the sandbox's default one."""
        config = self.config
        return {
            "do": "start",
            "user": user,
            "argv": [config.cmd, *config.args],
            "envs": config.envs,
            "cwd": config.cwd or "",
            "terminal": self.terminal is not None,
            "descriptors": 1 if self.terminal else 2 + self.stdin,
        }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConnectError("invalid_argument", "commands, arguments and variables are text")
    check_text(value)
    return value


def _name(value: str) -> str:
    if not value or "=" in value:
        raise ConnectError("invalid_argument", f"'{value}' is no name for an environment variable")
    return _text(value)
