"""A server under attack, the real one or the naive stand-in, and how to send it what no SDK would send."""

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tests.attack.probe.attempts import Refused

HOME = "/home/user"
SECRET = b"a secret of the host"
_MAX_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 means that nothing did, in good time."""

    status: int
    body: bytes

    def judge(self) -> str:
        """Raise `Refused` with the status of a proper refusal; return anything else as evidence."""
        refusals = (501, 507)
        if 400 <= self.status < 500 or self.status in refusals:
            raise Refused(str(self.status), self.body[:200].decode(errors="replace"))
        return f"answered {self.status}: {self.body[:60]!r}" if self.status else "no answer"


@dataclass(frozen=True)
class Victim:
    """The server, a sandbox that the attacker owns, and another one."""

    address: tuple[str, int]
    sandbox_id: str
    token: str
    other_id: str
    other_token: str
    api_key: str
    process: psutil.Process
    disk_mb: int
    """How much may be written into the sandbox."""
    host_folder: Path
    """A folder of the host that anybody may read and write: the prize of most attacks."""
    patience_seconds: float
    """How long an answer may take."""
    run: Callable[[str], str]
    """Runs a command in the attacker's sandbox, in its home."""
    user: str = ""
    """In whose name files are asked for; nobody's in particular if empty."""

    @property
    def secret(self) -> Path:
        """A file on the host that no client may read."""
        return self.host_folder / "secret"

    @property
    def scratch(self) -> Path:
        """A file on the host that no client may change."""
        return self.host_folder / "scratch"

    @property
    def headers(self) -> dict[str, str]:
        """What opens the attacker's own sandbox."""
        return {"E2b-Sandbox-Id": self.sandbox_id, "E2b-Sandbox-Port": "49983", "X-Access-Token": self.token}

    def restore(self) -> None:
        """Put the host's folder in order."""
        self.host_folder.mkdir(exist_ok=True)
        self.host_folder.chmod(0o777)
        self.secret.write_bytes(SECRET)
        self.scratch.write_bytes(b"unchanged")
        for each in (self.secret, self.scratch):
            each.chmod(0o666)

    def read(self, path: str, **query: str) -> Answer:
        """Download a file of the sandbox."""
        return self.ask("GET", self._files(path, query), self.headers)

    def write(self, path: str, body: bytes, headers: dict[str, str] | None = None, **query: str) -> Answer:
        """Upload a file into the sandbox."""
        content = {"Content-Type": "application/octet-stream", **(headers or {})}
        return self.ask("POST", self._files(path, query), {**self.headers, **content}, body)

    def call(self, method: str, message: Any) -> Answer:
        """Make a unary call of envd."""
        headers = {**self.headers, "Content-Type": "application/json", "Connect-Protocol-Version": "1"}
        if self.user:
            headers["Authorization"] = f"Basic {base64.b64encode(f'{self.user}:'.encode()).decode()}"
        return self.ask("POST", f"/{method}", headers, json.dumps(message).encode())

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """Send a well-formed request."""
        given = {"Host": "victim", "Connection": "close", **headers}
        if body or method == "POST":
            given["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return self.send(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def send(self, request: bytes) -> Answer:
        """Send any bytes and wait for an answer. Raises `Refused` if the server closes without one."""
        with self.connected() as speaker:
            try:
                # Whoever stops listening may have answered before.
                with suppress(BrokenPipeError, ConnectionResetError):
                    speaker.sendall(request)
                with closing(HTTPResponse(speaker)) as answer:
                    answer.begin()
                    return Answer(answer.status, answer.read(_MAX_ANSWER))
            except TimeoutError:
                return Answer(0, b"")
            except (HTTPException, ConnectionError) as error:
                raise Refused("closed", type(error).__name__) from error

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A plain connection."""
        with socket.create_connection(self.address, timeout=self.patience_seconds) as speaker:
            yield speaker

    def answers(self) -> bool:
        """Whether the server still answers others, soon."""
        try:
            return self.ask("GET", "/health", {}).status == 200
        except (OSError, Refused):
            return False

    def memory(self) -> int:
        """Bytes of memory that the server has to itself."""
        used: int = self.process.memory_full_info().uss
        return used

    def _files(self, path: str, query: dict[str, str]) -> str:
        named = {"username": self.user} | query if self.user else query
        rest = "".join(f"&{name}={quote(value, safe='')}" for name, value in named.items())
        return f"/files?path={quote(path, safe='')}{rest}"
