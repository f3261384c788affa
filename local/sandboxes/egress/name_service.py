"""The name server of sandboxes that reach hosts by name: answers for those, and knows no others.

Queries are not passed on. An allowed name is looked up anew, so that nothing in a query but its name
can carry anything out; a name that is not allowed never leaves the host.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import cast

import dns.exception
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from local.sandboxes.egress.guests import Guests, TooMany
from local.sandboxes.egress.refusals import Refusals
from local.sandboxes.egress.resolver import NameUnknown, Resolver

NAME_SERVICE_PORT = 53
_TTL_SECONDS = 30
_MAX_ADDRESSES = 14  # With the longest name, what fits into the 512 bytes of any datagram.
_IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class NameService:
    """Answers queries of sandboxes, over UDP and TCP."""

    guests: Guests
    resolver: Resolver
    refusals: Refusals

    async def open(self, datagrams: socket.socket, listener: socket.socket) -> asyncio.Server:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagrams)
        return await asyncio.start_server(self._serve, sock=listener)

    async def answer(self, address: str, query: bytes) -> bytes | None:
        """Answer one query; none for what is no query at all."""
        try:
            asked = dns.message.from_wire(query)
            reply = dns.message.make_response(asked, recursion_available=True)
        except (dns.exception.DNSException, ValueError):
            return None
        try:
            await self._fill(address, asked, reply)
        except NameUnknown:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()

    async def _fill(self, address: str, asked: dns.message.Message, reply: dns.message.Message) -> None:
        if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
            reply.set_rcode(dns.rcode.REFUSED)
            return
        (question,) = asked.question
        name = question.name.to_text(omit_final_dot=True)
        if not self.guests.may(address, name):
            self.refusals.tell(address, name, NAME_SERVICE_PORT)
            raise NameUnknown(name)
        found = await self.resolver.addresses(name)
        # Nothing but addresses: a text record could carry in what a policy keeps out.
        if question.rdtype == dns.rdatatype.A and question.rdclass == dns.rdataclass.IN:
            kept = found[:_MAX_ADDRESSES]
            reply.answer.append(dns.rrset.from_text_list(question.name, _TTL_SECONDS, "IN", "A", kept))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        gone = (OSError, TimeoutError, asyncio.IncompleteReadError, TooMany)
        with contextlib.suppress(*gone), contextlib.closing(writer), self.guests.connected(address):
            while True:
                size = await asyncio.wait_for(reader.readexactly(2), _IDLE_SECONDS)
                query = reader.readexactly(int.from_bytes(size, "big"))
                reply = await self.answer(address, await asyncio.wait_for(query, _IDLE_SECONDS))
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, service: NameService) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, peer: tuple[str, int]) -> None:
        with contextlib.suppress(TooMany), self._service.guests.connected(peer[0]):
            reply = await self._service.answer(peer[0], data)
            if reply:
                self._transport.sendto(reply, peer)
