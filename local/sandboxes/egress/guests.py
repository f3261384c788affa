"""What each sandbox may reach by name, and the connections that it has through this process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local.sandboxes.egress.rules import allows

MAX_CONNECTIONS = 200
"""Of one sandbox at a time, so that no sandbox takes all that this process can hold."""


class TooMany(Exception):
    """A sandbox has as many connections as it may."""


class Guests:
    """Sandboxes by address. One that is not known may reach nothing."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        self._connections: dict[str, dict[asyncio.Task[None], str]] = {}

    def set_names(self, address: str, names: tuple[str, ...]) -> None:
        """Let a sandbox reach `names` and no others: what it may no longer have is cut off."""
        if names:
            self._names[address] = names
        else:
            self._names.pop(address, None)
        for task, name in list(self._connections.get(address, {}).items()):
            if not allows(names, name):
                task.cancel()

    def may(self, address: str, name: str) -> bool:
        """Tell whether a sandbox may reach a host."""
        return allows(self._names.get(address, ()), name)

    @contextmanager
    def connected(self, address: str) -> Iterator[Callable[[str], None]]:
        """Hold one of a sandbox's places for the running task; what is given says whom it is connected with.

        Raises `TooMany`.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is held by a task")
        held = self._connections.setdefault(address, {})
        if len(held) >= MAX_CONNECTIONS:
            raise TooMany
        held[task] = ""

        def name_it(name: str) -> None:
            held[task] = name

        try:
            yield name_it
        finally:
            del held[task]
            if not held:
                self._connections.pop(address, None)
