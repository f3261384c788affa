"""What the server and a sandbox's first process say to each other, on a socket that keeps messages apart.

Orders go to the sandbox, reports come back; both are JSON objects. What is too long for one packet
goes in a file in memory, whose descriptor precedes those that the order itself carries.
"""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from signal import NSIG
from typing import Any, cast

from local.sandboxes.envd.errors import HTTP_STATUS, Code, ConnectError

MAX_PACKET_BYTES = 64 * 1024
MAX_DESCRIPTORS = 4
_MAX_INLINE_BYTES = 32 * 1024
_IN_MEMORY = b"@"
_MAX_MESSAGE = 4096
_MAX_PID = 1 << 22
_MAX_KEY = 1 << 53

Order = dict[str, Any]


class MalformedReportError(Exception):
    """A sandbox's first process said what ours never says: somebody else speaks for it."""


@dataclass(frozen=True)
class Report:
    """What became of the order `key`: the process has this pid, ended with this status, or never began.

    Without any of these it says that the order has arrived.
    """

    key: int
    pid: int | None = None
    status: int | None = None
    error: ConnectError | None = None

    def dump(self) -> bytes:
        """Write it for the socket."""
        told: dict[str, int | str | None] = {"key": self.key, "pid": self.pid, "status": self.status}
        if self.error:
            told |= {"code": self.error.code, "message": self.error.message[:_MAX_MESSAGE]}
        return json.dumps(told).encode()

    @classmethod
    def load(cls, data: bytes) -> "Report":
        """Read what came out of a sandbox. Raises `MalformedReportError` for what `dump` never writes."""
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict) or not _whole(told.get("key"), _MAX_KEY):
            raise MalformedReportError
        pid, status, code, message = (told.get(name) for name in ("pid", "status", "code", "message"))
        if not (pid is None or _whole(pid, _MAX_PID)) or not (status is None or _is_end(status)):
            raise MalformedReportError
        if code is None:
            return cls(told["key"], pid, status)
        if code not in HTTP_STATUS or not isinstance(message, str):
            raise MalformedReportError
        return cls(told["key"], error=ConnectError(cast("Code", code), message))


def send_order(control: socket.socket, order: bytes, fds: Sequence[int] = ()) -> None:
    """Send an order with the descriptors that it is about. Raises `OSError`, `BlockingIOError` among them."""
    if len(order) <= _MAX_INLINE_BYTES:
        socket.send_fds(control, [order], fds)
        return
    with os.fdopen(os.memfd_create("order"), "w+b") as memory:
        memory.write(order)
        memory.flush()
        socket.send_fds(control, [_IN_MEMORY], [memory.fileno(), *fds])


def receive_order(control: socket.socket) -> tuple[Order, list[int]] | None:
    """Wait for an order and the descriptors that it is about; none when the server is gone."""
    data, fds, _, _ = socket.recv_fds(control, MAX_PACKET_BYTES, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    if data == _IN_MEMORY:
        with os.fdopen(fds.pop(0), "rb") as memory:
            memory.seek(0)
            data = memory.read()
    return json.loads(data), fds


def _whole(value: object, most: int) -> bool:
    return type(value) is int and 0 < value <= most


def _is_end(status: object) -> bool:
    if type(status) is not int or not 0 <= status <= 0xFFFF:  # noqa: PLR2004 - the widest wait status
        return False
    return os.WIFEXITED(status) or (os.WIFSIGNALED(status) and os.WTERMSIG(status) < NSIG)
