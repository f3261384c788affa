"""The first process of a sandbox: starts, signals and buries processes for the server, and little else.

It waits in one system call, without an event loop, for orders, for ended children, and for the first
request about files: only then does it need a loop and HTTP, and goes on in these.
"""

import asyncio
import json
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from local.sandboxes.envd.accounts import DEFAULT_USER
from local.sandboxes.envd.control import Order, Report, receive_order, send_order
from local.sandboxes.envd.errors import ConnectError, from_os_error
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.launch import launch
from local.sandboxes.envd.spawn import let_die_first


class FirstProcess:
    """Serves one guest. `serve_files` answers the requests about files that come to `listener`."""

    def __init__(
        self,
        control: socket.socket,
        listener: socket.socket,
        guest: Guest,
        serve_files: Callable[[socket.socket, Guest], Awaitable[None]],
    ) -> None:
        self._control, self._listener, self._guest = control, listener, guest
        self._serve_files = serve_files
        self._children: dict[int, int] = {}
        """The order's key by the process's id, of those that live."""
        self._ended, self._bell = socket.socketpair()
        self._ended.setblocking(False)
        self._bell.setblocking(False)

    def run(self) -> NoReturn:
        """Serve until the server is gone."""
        for each in (self._control, self._listener):
            os.set_inheritable(each.fileno(), False)
        os.umask(0o022)
        # Commands share their user with a thread of ours and may signal it: what has no handler is ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._listen_for_ends()
        rehearse(self._guest)
        self._wait_for_files()
        asyncio.run(self._run_with_files())
        raise SystemExit(0)

    def _listen_for_ends(self) -> None:
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _wait_for_files(self) -> None:
        """Do all but what concerns files, and return when a request for these comes."""
        ready = select.poll()
        calls = {self._control.fileno(): self.obey, self._ended.fileno(): self.bury}
        for fd in (*calls, self._listener.fileno()):
            ready.register(fd, select.POLLIN)
        while True:
            for fd, _ in ready.poll():
                if fd not in calls:
                    return
                calls[fd]()

    async def _run_with_files(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control, self.obey)
        loop.add_reader(self._ended, self.bury)
        await self._serve_files(self._listener, self._guest)

    def close(self) -> None:
        """Give back what it holds of its own."""
        self._ended.close()
        self._bell.close()

    def obey(self) -> None:
        """Carry out the next order."""
        received = receive_order(self._control)
        if received is None:
            os._exit(0)  # The server is gone, and with it whoever this is for.
        order, fds = received
        match order["do"]:
            case "start":
                self._start(order, fds)
            case "signal":
                self._signal(order["key"], order["number"])
            case "initialise":
                self._initialise(order)
            case "answer":
                self._tell(Report(order["key"]))

    def _start(self, order: Order, fds: list[int]) -> None:
        key = order["key"]
        try:
            pid = launch(self._guest, order, fds)
        except ConnectError as error:
            self._tell(Report(key, error=error))
        except OSError as error:
            self._tell(Report(key, error=from_os_error(error)))
        else:
            self._children[pid] = key
            self._tell(Report(key, pid=pid))
            # Nobody waits for this.
            let_die_first(pid)

    def _signal(self, key: int, number: int) -> None:
        for pid, each in self._children.items():
            if each == key:
                os.kill(pid, number)

    def _initialise(self, order: Order) -> None:
        guest = self._guest
        guest.envs = order["envs"]
        guest.accounts = replace(
            guest.accounts, default=order["user"] or DEFAULT_USER, workdir=order["workdir"]
        )

    def bury(self) -> None:
        """Take note of who has ended."""
        with suppress(BlockingIOError):
            self._ended.recv(4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # All others are orphans of the sandbox, which nobody waits for.
            if key := self._children.pop(pid, None):
                self._tell(Report(key, status=status))

    def _tell(self, report: Report) -> None:
        with suppress(ConnectionError):  # The server goes; the next order tells that it is gone.
            self._control.send(report.dump())


def rehearse(guest: Guest, program: str = os.devnull) -> None:
    """Carry out an order of our own, so that nothing has to be loaded, copied or made for the first one.

    Nobody can execute the default program: in a sandbox, nothing of its own may run before it is asked to.
    """
    order = {"do": "start", "key": 1, "user": "", "argv": [program], "envs": {}, "cwd": ""}
    order |= {"terminal": False, "descriptors": 2}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, open(os.devnull, "wb") as null:  # noqa: PTH123 - `Path` takes five times as long
        first = FirstProcess(theirs, theirs, guest, _serve_none)
        send_order(ours, json.dumps(order).encode(), [null.fileno(), null.fileno()])
        first.obey()
        first.bury()
        first.close()


async def _serve_none(_: socket.socket, __: Guest) -> None:
    """Serve no files."""
