"""Counts the relay's connections by sandbox, so that one that opens too many waits for nobody but itself."""

import asyncio
import collections
import resource
from typing import cast

MOST_PER_ADDRESS = 32
"""A runner needs two: one for its prompt or result, one for a long answer."""


class Door:
    """Lets in at most so many connections at a time from one address."""

    def __init__(self, most: int = MOST_PER_ADDRESS) -> None:
        self._most = most
        self._open: collections.Counter[str] = collections.Counter()

    def enter(self, address: str) -> bool:
        """Count a connection in, unless its address has too many."""
        if self._open[address] >= self._most:
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]


class CountedProtocol(asyncio.Protocol):
    """A server's protocol behind a door; a connection that may not enter is reset."""

    def __init__(self, inner: asyncio.Protocol, door: Door) -> None:
        self._inner = inner
        self._door = door
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in or reset it."""
        peer = transport.get_extra_info("peername")
        if peer and self._door.enter(peer[0]):
            self._address = peer[0]
            self._inner.connection_made(transport)
        else:
            cast("asyncio.Transport", transport).abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Make room for another."""
        if self._address:
            self._door.leave(self._address)
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if self._address:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._inner.eof_received() if self._address else None

    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._inner.resume_writing()


def allow_many_connections() -> None:
    """Raise this process's limit of open files, which sandboxes could reach together, to what it may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
