"""Runs commands of the server's own in a sandbox, by the same call that clients make."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from local.sandboxes.envd.connect import FRAME_HEADER_BYTES
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.processes.service import Processes
from local.sandboxes.processes.start_request import ProcessConfig, StartRequest

_SILENT_SECONDS = 3600.0
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class GuestCommand:
    """A shell command, who runs it, where, and what its environment has beyond the sandbox's."""

    text: str
    user: str
    cwd: str = ""
    env: dict[str, str] = field(default_factory=dict)


class CommandLostError(Exception):
    """A command could not be started, or its end is not known."""


@dataclass
class Lines:
    """Cuts the output of one stream into lines; a line that is drawn over and over counts once."""

    tell: Callable[[str], None]
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take what came."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line)

    def close(self) -> None:
        """Tell what came without an end of line."""
        if self._rest:
            self._tell(self._rest)
        self._rest = b""

    def _tell(self, line: bytes) -> None:
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self.tell(text[:_LONGEST_LINE])


async def run(
    processes: Processes,
    command: GuestCommand,
    *,
    on_start: Callable[[], None] = lambda: None,
    on_stdout: Callable[[str], None] = lambda _: None,
    on_stderr: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a command to its end, telling its output line by line. Returns its exit code, -1 after a signal.

    Whoever cancels leaves it running. Raises `CommandLostError`.
    """
    streams = {"stdout": Lines(on_stdout), "stderr": Lines(on_stderr)}
    try:
        process, listener = await processes.start(_request(command), command.user)
        on_start()
        try:
            async for frame in listener.frames(_SILENT_SECONDS):
                for name, data in _output(frame).items():
                    streams[name].feed(base64.b64decode(data))
        finally:
            process.unsubscribe(listener)
    except ConnectError as error:
        raise CommandLostError(error.message) from error
    except ConnectionError as error:
        raise CommandLostError("the sandbox did not tell how the command ended") from error
    for stream in streams.values():
        stream.close()
    return process.exit_code


def _request(command: GuestCommand) -> StartRequest:
    arguments = ("-l", "-c", command.text)
    return StartRequest(ProcessConfig("/bin/bash", arguments, command.env, command.cwd or None), stdin=False)


def _output(frame: bytes) -> dict[str, str]:
    event = json.loads(frame[FRAME_HEADER_BYTES:])["event"]
    told: dict[str, str] = event.get("data", {})
    return told
