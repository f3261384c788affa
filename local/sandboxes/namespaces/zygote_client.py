"""The server's side of the zygote: starts it and has it fork jails."""

import asyncio
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.plans import Plan, dump
from local.sandboxes.namespaces.zygote import STARTED

_REPOSITORY = Path(__file__).parents[3]
_START_SECONDS = 30.0


class JailDiedError(EngineError):
    """A jail ended before it was a sandbox, without a word: another one may well live."""


@dataclass(frozen=True)
class Forked:
    """A jail that prepares itself: its process id on the host, and a descriptor to watch and kill it."""

    pid: int
    pidfd: int


def has_ended(pidfd: int) -> bool:
    """Whether a process has ended."""
    ready = select.poll()
    ready.register(pidfd, select.POLLIN)
    return bool(ready.poll(0))


class Zygote:
    """A running zygote, started again at the next fork after it died. `on_death` is told when it does."""

    def __init__(self, instance: str, daemon: str, on_death: Callable[[], None]) -> None:
        self._arguments = (instance, daemon)
        self._on_death = on_death
        self._running: _Running | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start it and wait until it can fork. Raises `EngineError` if it ends instead."""
        self._running = running = self._launch()
        asyncio.get_running_loop().add_reader(running.pidfd, self._bury)
        async with asyncio.timeout(_START_SECONDS):
            answer = await asyncio.get_running_loop().sock_recv(running.socket, 64)
        if answer != STARTED:
            raise EngineError("the zygote ended before it was ready: its error is in the server's output")

    async def fork(self, plan: Plan, control: socket.socket, listener: socket.socket) -> Forked:
        """Have a jail forked. It gets copies of both sockets."""
        async with self._turn:
            if self._running is None:
                await self.start()
            ours = cast("_Running", self._running).socket
            try:
                socket.send_fds(ours, [dump(plan)], [control.fileno(), listener.fileno()])
                await _readable(ours)
                message, fds, _, _ = socket.recv_fds(ours, 64, 1)
            except OSError:
                fds = []
        if not fds:
            raise JailDiedError("the zygote ended while it forked a sandbox: try again")
        return Forked(int(message), fds[0])

    def notice_death(self) -> None:
        """Learn now if it has died, rather than when the loop comes to it."""
        if self._running and has_ended(self._running.pidfd):
            self._bury()

    async def close(self) -> None:
        """End it, and with it every jail."""
        if running := self._running:
            running.socket.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(running.process.wait)
            self._bury()

    def _bury(self) -> None:
        if running := self._running:
            self._running = None
            asyncio.get_running_loop().remove_reader(running.pidfd)
            os.close(running.pidfd)
            running.socket.close()
            running.process.wait()
            self._on_death()

    def _launch(self) -> "_Running":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [sys.executable, "-m", "local.sandboxes.namespaces.zygote", str(theirs.fileno())]
        # An environment of its own: what the server was given is not for sandboxes to inherit.
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_REPOSITORY)}
        with theirs:
            process = subprocess.Popen(
                [*command, *self._arguments],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        return _Running(process, os.pidfd_open(process.pid), ours)


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    pidfd: int
    socket: socket.socket


async def _readable(each: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.add_reader(each, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        loop.remove_reader(each)
