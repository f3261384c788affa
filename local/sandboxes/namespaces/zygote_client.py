"""The server's side of the zygote: starts it and has it fork jails."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.plans import Plan, dump
from local.sandboxes.namespaces.zygote import STARTED

_REPOSITORY = Path(__file__).parents[3]
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Forked:
    """A jail that prepares itself: its process id on the host, and a descriptor to watch and kill it."""

    pid: int
    pidfd: int


class Zygote:
    """A running zygote. Starts again by itself when it died: the jails that it had die with it."""

    def __init__(self, instance: str, serve: str) -> None:
        self._arguments = (instance, serve)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start it and wait until it can fork. Raises `EngineError` if it ends instead."""
        ours = self._socket = self._launch()
        async with asyncio.timeout(_START_SECONDS):
            answer = await asyncio.get_running_loop().sock_recv(ours, 64)
        if answer != STARTED:
            raise EngineError("the zygote ended before it was ready: its error is in the server's output")

    async def fork(self, plan: Plan, control: socket.socket, listener: socket.socket) -> Forked:
        """Have a jail forked. It gets copies of both sockets."""
        async with self._turn:
            ours = await self._started()
            socket.send_fds(ours, [dump(plan)], [control.fileno(), listener.fileno()])
            await _readable(ours)
            message, fds, _, _ = socket.recv_fds(ours, 64, 1)
        if not fds:
            raise EngineError("the zygote ended while it forked a sandbox: try again")
        return Forked(int(message), fds[0])

    def close(self) -> None:
        """End it, and with it every jail."""
        if self._socket:
            self._socket.close()
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    async def _started(self) -> socket.socket:
        if self._process is None or self._process.poll() is not None:
            self.close()
            await self.start()
        return cast("socket.socket", self._socket)

    def _launch(self) -> socket.socket:
        # On the main thread: the kernel ends it together with the thread that began it.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [sys.executable, "-m", "local.sandboxes.namespaces.zygote", str(theirs.fileno())]
        # An environment of its own: what the server was given is not for sandboxes to inherit.
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_REPOSITORY)}
        with theirs:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        return ours


async def _readable(each: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.add_reader(each, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        loop.remove_reader(each)
