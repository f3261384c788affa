"""The processes that clients started in one sandbox: begins them, finds them, forgets them."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator

from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.errors import ConnectError, from_os_error
from local.sandboxes.envd.subscription import Subscription
from local.sandboxes.processes.line import Line
from local.sandboxes.processes.process import Process
from local.sandboxes.processes.start_request import StartRequest
from local.sandboxes.processes.streams import Ends, Terminal, open_pipes, open_terminal

END_KEPT_SECONDS = 30
"""How long an ended process still tells its end to a late listener."""

MAX_PROCESSES = 512
"""Of one sandbox at a time: each has up to three descriptors of the server's."""


class Processes:
    """Starts processes over the line to a sandbox. `root` is the host's id of the sandbox's root.

    `open_one` opens one of the sandbox's terminals.
    """

    def __init__(self, control: socket.socket, root: int, open_one: Callable[[], Terminal]) -> None:
        self.line = Line(control)
        self._root, self._open_one = root, open_one
        self._processes: dict[int, Process] = {}

    async def start(
        self, wanted: StartRequest, user: str = "", seconds: float | None = None
    ) -> tuple[Process, Subscription]:
        """Start a process that may run for that long, and listen to it from its first event on.

        Raises `ConnectError` if it can not be started, `ConnectionError` if the sandbox is gone.
        """
        process = Process(wanted.config, self._add, self._forget_later)
        listener = process.subscribe()
        self._order(process, wanted, user)
        if seconds is not None:
            process.set_deadline(seconds, listener)
        try:
            await process.up
        except asyncio.CancelledError:
            process.unsubscribe(listener)
            raise
        return process, listener

    def running(self) -> Iterator[Process]:
        """Those that have not ended."""
        return (process for process in self._processes.values() if process.running)

    def find(self, selector: Message) -> Process:
        """Find a process, also one that ended lately. Raises `ConnectError` if there is none."""
        pid, tag = field(selector, "pid", int, 0), field(selector, "tag", str, "")
        matches = [each for each in self._processes.values() if tag and each.config.tag == tag]
        process = matches[-1] if matches else self._processes.get(pid)
        if process is None:
            raise ConnectError(
                "not_found", "there is no process with " + (f"tag '{tag}'" if tag else f"pid {pid}")
            )
        return process

    def close(self) -> None:
        """Drop them all: the sandbox is gone. Safe to call again."""
        self.line.close()

    def _order(self, process: Process, wanted: StartRequest, user: str) -> None:
        if sum(1 for _ in self.running()) >= MAX_PROCESSES:
            raise ConnectError("resource_exhausted", f"a sandbox may run {MAX_PROCESSES} processes at once")
        try:
            ours, theirs = self._connect(wanted)
        except OSError as error:
            raise from_os_error(error) from error
        process.attach(ours)
        try:
            key = self.line.start(wanted.order(user), theirs, process.report)
        except BaseException:
            process.drop()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        process.signal = lambda number: self.line.signal(key, number)

    def _connect(self, wanted: StartRequest) -> tuple[Ends, list[int]]:
        if wanted.terminal:
            return open_terminal(self._root, wanted.terminal, self._open_one)
        return open_pipes(self._root, stdin=wanted.stdin)

    def _add(self, process: Process) -> None:
        self._processes[process.pid] = process

    def _forget_later(self, process: Process) -> None:
        asyncio.get_running_loop().call_later(END_KEPT_SECONDS, self._forget, process)

    def _forget(self, process: Process) -> None:
        # Its number may belong to another process by now.
        if self._processes.get(process.pid) is process:
            del self._processes[process.pid]
