"""Collects ended children: envd is pid 1, so it inherits every orphan of its sandbox."""

import asyncio
import os
import signal
from collections.abc import Callable


class Reaper:
    """Tells each awaited process's exit, and buries the rest."""

    def __init__(self) -> None:
        self._watchers: dict[int, Callable[[int], None]] = {}

    def start(self) -> None:
        """Listen for ended children on the running loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Call `on_exit` with the wait status of `pid`. Must follow its start without an await."""
        self._watchers[pid] = on_exit

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if on_exit := self._watchers.pop(pid, None):
                on_exit(status)
