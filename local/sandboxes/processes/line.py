"""The server's end of the line to a sandbox's first process: orders out, reports in.

Whoever speaks at the other end may be hostile: what it says is checked, a word that makes no sense ends
the line, and nothing here waits for it while others are served.
"""

import asyncio
import itertools
import json
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from local.sandboxes.envd.control import (
    MAX_PACKET_BYTES,
    MalformedReportError,
    Order,
    Report,
    send_order,
)
from local.sandboxes.envd.errors import ConnectError

MAX_WAITING = 1024
"""How many orders may wait for a sandbox that takes none, as while it is frozen."""

OnReport = Callable[[Report | None], None]
"""Told what became of an order; `None` when the line is lost, and nothing after that."""

_AT_ONCE = 16


class Line:
    """Sends orders on a socket that keeps messages apart, which it owns from now on."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._keys = itertools.count(1)
        self._listeners: dict[int, OnReport] = {}
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._open = True
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._read)

    def start(self, order: Order, fds: Sequence[int], on_report: OnReport) -> int:
        """Order a process that gets copies of `fds`. Returns the order's key, for signals.

        Raises `ConnectionError` if the sandbox is gone, `ConnectError` if it takes no more orders.
        """
        key = next(self._keys)
        self._send(order | {"key": key}, fds)
        self._listeners[key] = on_report
        return key

    def signal(self, key: int, number: signal.Signals) -> None:
        """Have the process of an order signalled, unless it has ended by then."""
        self._send({"do": "signal", "key": key, "number": number})

    def initialise(self, envs: dict[str, str], *, user: str = "", workdir: str = "") -> None:
        """Tell what every command's environment contains, who runs it by default and where."""
        self._send({"do": "initialise", "envs": envs, "user": user, "workdir": workdir})

    async def answers(self, seconds: float) -> bool:
        """Whether the first process is well, and says so soon."""
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def answer(report: Report | None) -> None:
            if not answered.done():
                answered.set_result(report is not None)

        key = next(self._keys)
        self._listeners[key] = answer
        try:
            self._send({"do": "answer", "key": key})
            async with asyncio.timeout(seconds):
                return await answered
        except (ConnectionError, ConnectError, TimeoutError):
            return False
        finally:
            self._listeners.pop(key, None)

    def close(self) -> None:
        """Hang up, and tell all who still wait for reports. Safe to call again."""
        if not self._open:
            return
        self._open = False
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control)
        loop.remove_writer(self._control)
        self._control.close()
        for _, fds in self._waiting:
            _close(fds)
        self._waiting.clear()
        listeners, self._listeners = self._listeners, {}
        for on_report in listeners.values():
            on_report(None)

    def _send(self, order: Order, fds: Sequence[int] = ()) -> None:
        if not self._open:
            raise ConnectionResetError("the sandbox has ended")
        data = json.dumps(order).encode()
        if not self._waiting:
            with suppress(BlockingIOError):
                send_order(self._control, data, fds)
                return
            asyncio.get_running_loop().add_writer(self._control, self._flush)
        if len(self._waiting) >= MAX_WAITING:
            raise ConnectError("resource_exhausted", "too many calls wait for this sandbox")
        self._waiting.append((data, [os.dup(fd) for fd in fds]))

    def _flush(self) -> None:
        try:
            while self._waiting:
                data, fds = self._waiting[0]
                send_order(self._control, data, fds)
                self._waiting.popleft()
                _close(fds)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        asyncio.get_running_loop().remove_writer(self._control)

    def _read(self) -> None:
        # No more than a few at once: a flood of reports must leave others their turn.
        for _ in range(_AT_ONCE):
            if not self._open or not self._read_one():
                return

    def _read_one(self) -> bool:
        try:
            # Descriptors that come along are dropped by the kernel, as there is no place for them.
            data = self._control.recv(MAX_PACKET_BYTES)
            report = Report.load(data) if data else None
        except BlockingIOError:
            return False
        except (OSError, MalformedReportError):
            report = None
        if report is None:
            self.close()
            return False
        self._deliver(report)
        return True

    def _deliver(self, report: Report) -> None:
        over = report.pid is None
        listener = self._listeners.pop(report.key, None) if over else self._listeners.get(report.key)
        if listener:
            listener(report)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
