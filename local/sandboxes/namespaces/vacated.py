"""Keeps the networks of killed sandboxes for a moment: the kernel removes several at a time for less."""

import asyncio
import contextlib
import os

_MOMENT_SECONDS = 0.25
_MOST = 16


class VacatedNetworks:
    """Network namespaces in which nothing runs any more, until they go together."""

    def __init__(self) -> None:
        self._held: list[int] = []

    def hold(self, pid: int) -> None:
        """Keep the network of a process that is about to be killed."""
        with contextlib.suppress(OSError):  # It has ended already, or this host lets nobody look.
            self._held.append(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            if len(self._held) == 1:
                asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self.release)
        if len(self._held) >= _MOST:
            self.release()

    def release(self) -> None:
        """Let all go."""
        while self._held:
            os.close(self._held.pop())
