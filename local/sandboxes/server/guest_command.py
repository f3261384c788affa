"""Runs commands of the server's own in a sandbox, by the same call that clients make."""

import base64
import json
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import StreamReader
from multidict import CIMultiDict

from local.sandboxes.server.upstream import Upstream

_FRAME = struct.Struct(">BI")
_LAST_FRAME = 0x02
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
    upstream: Upstream,
    command: GuestCommand,
    *,
    on_start: Callable[[], None] = lambda: None,
    on_stdout: Callable[[str], None] = lambda _: None,
    on_stderr: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a command to its end, telling its output line by line. Returns its exit code, -1 after a signal.

    Whoever cancels leaves it running. Raises `CommandLostError`, and what HTTP clients raise.
    """
    streams = {"stdout": Lines(on_stdout), "stderr": Lines(on_stderr)}
    async with upstream.request(
        "POST", "/process.Process/Start", headers=_headers(command.user), data=_start(command)
    ) as response:
        async for message in _messages(response.content):
            event = message.get("event", {})
            if "start" in event:
                on_start()
            for name, data in event.get("data", {}).items():
                streams[name].feed(base64.b64decode(data))
            if "end" in event:
                for stream in streams.values():
                    stream.close()
                return int(event["end"].get("exitCode", 0))
            if "error" in message:
                raise CommandLostError(message["error"].get("message", "the sandbox gave no reason"))
    raise CommandLostError("the sandbox did not tell how the command ended")


def _headers(user: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {
            "Content-Type": "application/connect+json",
            "Connect-Protocol-Version": "1",
            "Authorization": "Basic " + base64.b64encode(f"{user}:".encode()).decode(),
        }
    )


def _start(command: GuestCommand) -> bytes:
    process = {"cmd": "/bin/bash", "args": ["-l", "-c", command.text], "envs": command.env}
    if command.cwd:
        process["cwd"] = command.cwd
    message = json.dumps({"process": process, "stdin": False}).encode()
    return _FRAME.pack(0, len(message)) + message


async def _messages(content: StreamReader) -> AsyncIterator[dict[str, Any]]:
    while True:
        flags, size = _FRAME.unpack(await content.readexactly(_FRAME.size))
        yield json.loads(await content.readexactly(size))
        if flags & _LAST_FRAME:
            return
