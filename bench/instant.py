"""A server that answers the SDK's calls at once from memory: what is then left is the SDK's own time.

Run as `python -m bench.instant`, it writes its URL to stdout and serves until it is ended.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from e2b import E2B

from local.sandboxes.envd.connect import STREAM_TYPE, frame
from local.sandboxes.server.sandbox import CLIENT_ID, ENVD_VERSION

_ANY_KEY = "e2b_" + 40 * "0"
_SANDBOX = {
    "templateID": "castari-base",
    "sandboxID": "i" + 19 * "0",
    "clientID": CLIENT_ID,
    "envdVersion": ENVD_VERSION,
    "envdAccessToken": "ea_" + 48 * "0",
    "trafficAccessToken": None,
    "domain": None,
}
_ECHO: tuple[dict[str, object], ...] = (
    {"start": {"pid": 1}},
    {"data": {"stdout": "eAo="}},
    {"end": {"exitCode": 0, "exited": True, "status": "exit status 0"}},
)


def _answer(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_CREATED = _answer("201 Created", "application/json", json.dumps(_SANDBOX).encode())
_ECHOED = _answer(
    "200 OK",
    STREAM_TYPE,
    b"".join(frame(json.dumps({"event": event}).encode()) for event in _ECHO) + frame(b"{}", 2),
)
_KILLED = b"HTTP/1.1 204 No Content\r\n\r\n"


class Instant(asyncio.Protocol):
    """One connection: each whole request has its answer in the next packet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer what has arrived whole."""
        self._received += data
        while (length := request_length(self._received)) is not None and len(self._received) >= length:
            self._transport.write(answer_to(self._received))
            self._received = self._received[length:]


def request_length(received: bytes) -> int | None:
    """Return how long the first request is, in bytes; `None` while its head is not there."""
    head, end, _ = received.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.lower().split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    return len(head) + len(end) + sum(lengths)


def answer_to(request: bytes) -> bytes:
    """Return what a server would that has done it all already."""
    if request.startswith(b"DELETE "):
        return _KILLED
    return _ECHOED if request.startswith(b"POST /process.Process/Start ") else _CREATED


@contextmanager
def instant_server() -> Iterator[E2B]:
    """Run it beside the block, which gets an SDK client bound to it."""
    command = [sys.executable, "-m", "bench.instant"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = cast("IO[str]", process.stdout).readline().strip()
            yield E2B(api_key=_ANY_KEY, api_url=url, sandbox_url=url)
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
