"""The server's side of the egress process: the sockets that it serves, and when it runs."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.sandboxes.engine import EngineError

_REPOSITORY = Path(__file__).parents[3]
_IP_FREEBIND = 15
_BACKLOG = 512
_ANSWER_SECONDS = 30.0
_RESTART_SECONDS = 0.5
_IN_FORCE = b"ok\n"


@dataclass(frozen=True)
class EgressDoors:
    """Sockets on the sandboxes' gateway to which the firewall diverts what goes out by name.

    They live as long as the engine: who comes while the process starts again only waits.
    """

    http: socket.socket
    tls: socket.socket
    names_udp: socket.socket
    names_tcp: socket.socket

    @classmethod
    def open(cls, gateway: str) -> "EgressDoors":
        """Bind to free ports of an address that the host need not have yet."""
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        return cls(*(_bind(gateway, kind) for kind in (stream, stream, datagram, stream)))

    def ports(self) -> dict[str, int]:
        """The ports by their names."""
        return {name: each.getsockname()[1] for name, each in vars(self).items()}

    def descriptors(self) -> dict[str, int]:
        """The descriptors by their names."""
        return {name: each.fileno() for name, each in vars(self).items()}

    def close(self) -> None:
        """Close them all."""
        for each in vars(self).values():
            each.close()


OnRefused = Callable[[str, str, int], None]
"""Told a sandbox's address, the host that it may not reach (empty if it named none), and the port."""


class EgressProcess:
    """Started when the first sandbox needs it, and again when it died. Until then it costs nothing."""

    def __init__(self, doors: EgressDoors, cgroup: str, uid: int, nameservers: tuple[str, ...]) -> None:
        self.on_refused: OnRefused = lambda *_: None
        self._doors = doors
        self._orders = {"cgroup": cgroup, "uid": uid, "nameservers": nameservers}
        self._names: dict[str, tuple[str, ...]] = {}
        self._running: asyncio.subprocess.Process | None = None
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._watcher: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def set_names(self, address: str, names: tuple[str, ...]) -> None:
        """Let the sandbox at `address` reach these names and no others. Raises `EngineError`."""
        if names:
            self._names[address] = names
        else:
            self._names.pop(address, None)
        async with self._turn:
            if self._running is None or self._running.returncode is not None:
                await self._start()
            else:
                await self._tell(self._running, address)

    async def close(self) -> None:
        """End it."""
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        if running := self._running:
            self._running = None
            with contextlib.suppress(ProcessLookupError):
                running.kill()
            await running.wait()
        self._doors.close()

    async def _start(self) -> None:
        descriptors = self._doors.descriptors()
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.sandboxes.egress",
            json.dumps(descriptors | self._orders),
            pass_fds=list(descriptors.values()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # An environment of its own: what the server was given is not for it.
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_REPOSITORY)},
        )
        self._running, self._answers = running, asyncio.Queue()
        self._watcher = asyncio.create_task(self._follow(running))
        for address in list(self._names):
            await self._tell(running, address)

    async def _tell(self, running: asyncio.subprocess.Process, address: str) -> None:
        if running.stdin is None:
            raise EngineError("the egress process has no pipes")
        order = {"address": address, "names": self._names.get(address, ())}
        answer = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            running.stdin.write(json.dumps(order).encode() + b"\n")
            answer = await asyncio.wait_for(self._answers.get(), _ANSWER_SECONDS)
        if answer != _IN_FORCE:
            with contextlib.suppress(ProcessLookupError):
                running.kill()  # What it would still say belongs to no order.
            raise EngineError("the egress process does not answer: its error is in the server's output")

    async def _follow(self, running: asyncio.subprocess.Process) -> None:
        """Take in what it says until it ends, then start it again."""
        while running.stdout and (line := await running.stdout.readline()):
            if line == _IN_FORCE:
                self._answers.put_nowait(line)
            else:
                told = json.loads(line)
                self.on_refused(told["address"], told["host"], told["port"])
        self._answers.put_nowait(b"")
        await running.wait()
        await asyncio.sleep(_RESTART_SECONDS)
        async with self._turn:
            if self._running is running and self._names:
                with contextlib.suppress(EngineError):  # Whoever sets names next tries again.
                    await self._start()


def _bind(address: str, kind: socket.SocketKind) -> socket.socket:
    each = socket.socket(socket.AF_INET, kind)
    each.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    each.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        each.listen(_BACKLOG)
    each.setblocking(False)
    return each
