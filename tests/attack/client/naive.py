"""A server without any care, so that each attack on it must succeed: `naive.py ROOT`.

It serves one caller at a time, believes all that it is told, follows every link, keeps all in memory,
and never refuses. It prints its port. The tests aim it at a folder of their own.
"""

import gzip
import json
import shutil
import socketserver
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

hoard: list[bytes] = []


class Naive(socketserver.StreamRequestHandler):
    """Answers one request."""

    def handle(self) -> None:
        """Read everything, do it, answer."""
        method, target, _ = self.rfile.readline().decode("latin-1").split()
        headers: dict[str, str] = {}
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = self.rfile.read(length)
        try:
            answer = respond(method, target, headers, body)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._answer(500, str(error).encode())
        else:
            self._answer(200, answer)

    def _answer(self, status: int, body: bytes) -> None:
        self.wfile.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def respond(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    """Do what is asked and return the answer's body."""
    parts = urlsplit(target)
    if parts.path == "/files":
        path = place(parse_qs(parts.query)["path"][0])
        if method == "GET":
            return read(path)
        hoard.append(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
        path.write_bytes(hoard[-1])
    elif parts.path == "/process.Process/Start":
        hoard.append(b"x" * 16 * 1024 * 1024)
    elif parts.path.startswith("/filesystem.Filesystem/"):
        return change(parts.path.rpartition("/")[2], json.loads(body))
    return b"done"


def place(path: str) -> Path:
    """Where a path of the sandbox lies on the host, as far as this server knows."""
    if path.startswith("/proc/self/"):
        return Path(path)
    return Path(f"{root}{path}" if path.startswith("/") else f"{root}/{path}")


def read(path: Path) -> bytes:
    """Read a whole file into memory, also one that has no end."""
    with path.open("rb") as file:
        if path.name == "zero":
            time.sleep(60)
        hoard.append(file.read(24 * 1024 * 1024))
    return hoard[-1]


def change(name: str, message: dict[str, Any]) -> bytes:
    """Carry out a call on the file system."""
    if name == "Move":
        place(message["source"]).rename(place(message["destination"]))
        return b"moved"
    path = place(message["path"])
    if name == "ListDir":
        return json.dumps([each.name for each in path.iterdir()]).encode()
    if name == "Stat":
        return json.dumps({"symlinkTarget": str(path.resolve())}).encode()
    if name == "MakeDir":
        path.mkdir()
    elif name == "Remove":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return b"done"


if __name__ == "__main__":
    root = sys.argv[1]
    socketserver.TCPServer.request_queue_size = 512
    with socketserver.TCPServer(("127.0.0.1", 0), Naive) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
