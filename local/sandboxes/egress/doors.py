"""Where sandboxes' HTTP and TLS connections arrive: read whom they want, and connect with that host."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

from local.sandboxes.egress.guests import Guests, TooMany
from local.sandboxes.egress.refusals import Refusals
from local.sandboxes.egress.resolver import NameUnknown, Resolver
from local.sandboxes.egress.wanted import Wanted

_HEAD_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_CHUNK_BYTES = 64 * 1024


class Refused(Exception):
    """A connection that does not pass; the message says why."""


@dataclass(frozen=True)
class Door:
    """Passes connections on to `port` of the host that they name.

    Where a connection was sent to does not matter: the name alone decides, and this process looks its
    address up itself. So nothing is gained by naming an allowed host and sending to another.
    """

    port: int
    read_wanted: Callable[[], Wanted]
    guests: Guests
    resolver: Resolver
    refusals: Refusals

    async def open(self, listener: socket.socket) -> asyncio.Server:
        """Begin to accept."""
        return await asyncio.start_server(self._serve, sock=listener, limit=_CHUNK_BYTES)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        try:
            with self.guests.connected(address) as name_it, contextlib.suppress(OSError, TimeoutError):
                await self._pass(address, reader, writer, name_it)
        except (TooMany, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _pass(
        self,
        address: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name_it: Callable[[str], None],
    ) -> None:
        wanted = self.read_wanted()
        try:
            first = await asyncio.wait_for(_read_until_known(reader, wanted), _HEAD_SECONDS)
            name = self._allowed(address, wanted)
            name_it(name)
            their_reader, their_writer = await self._connect(name)
        except (ValueError, Refused, NameUnknown) as error:
            writer.write(wanted.refusal(f"castari: {error}"))
            await writer.drain()
            return
        try:
            # The policy may have changed while the address was looked up.
            self._allowed(address, wanted)
            their_writer.write(first)
            await asyncio.gather(_copy(reader, their_writer), _copy(their_reader, writer))
        except Refused:
            writer.transport.abort()
        finally:
            their_writer.transport.abort()

    def _allowed(self, address: str, wanted: Wanted) -> str:
        name = wanted.name
        if name is not None and self.guests.may(address, name):
            return name
        self.refusals.tell(address, name, self.port)
        if name is None:
            raise Refused("the connection names no host, and this sandbox may reach hosts by name only")
        raise Refused(f"this sandbox may not reach '{name}': its network allows other names")

    async def _connect(self, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for each in await self.resolver.addresses(name):
            with contextlib.suppress(OSError, TimeoutError):
                connecting = asyncio.open_connection(each, self.port, limit=_CHUNK_BYTES)
                return await asyncio.wait_for(connecting, _CONNECT_SECONDS)
        raise Refused(f"'{name}' does not answer")


async def _read_until_known(reader: asyncio.StreamReader, wanted: Wanted) -> bytes:
    first = b""
    while data := await reader.read(_CHUNK_BYTES):
        first += data
        if wanted.feed(data):
            return first
    raise ValueError("the connection ended before it named a host")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on until the end, and then pass on the end."""
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
