"""Plays the Internet: web servers that tell which of them answered, and a name server that keeps a record.

Run as a program in a network namespace: `hosts.py NAMES CERTIFICATE WEB NAME_SERVER...` with a JSON object of
names and their addresses, a PEM file, and addresses of its own. Serves port 80 (HTTP), 443 (TLS), 8080
(HTTP) of every address, UDP port 443 of one and DNS of the name servers, prints `ready`, and answers each
line on stdin with a JSON list of the names that were asked for so far.
"""

import asyncio
import json
import ssl
import sys
from typing import cast

import dns.message
import dns.rcode
import dns.rrset

NAMES = json.loads(sys.argv[1])
ASKED: list[str] = []


async def tell_address(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line of a request's end with the address that was connected, until the client leaves."""
    own = writer.get_extra_info("sockname")[0]
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            body = f"I am {own}\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


class NameServer(asyncio.DatagramProtocol):
    """Answers what is in `NAMES`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        """Note the question and answer it."""
        query = dns.message.from_wire(data)
        name = query.question[0].name
        text = name.to_text(omit_final_dot=True).lower()
        ASKED.append(text)
        reply = dns.message.make_response(query)
        if text in NAMES:
            reply.answer.append(dns.rrset.from_text(name, 1, "IN", "A", NAMES[text]))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(reply.to_wire(), peer)


class Echo(asyncio.DatagramProtocol):
    """Answers datagrams as a QUIC server would answer some."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        """Send it back."""
        self._transport.sendto(data, peer)


async def main() -> None:
    """Serve until stdin ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    for port, tls in ((80, None), (8080, None), (443, context)):
        await asyncio.start_server(tell_address, "0.0.0.0", port, ssl=tls)  # noqa: S104 - leads nowhere
    loop = asyncio.get_running_loop()
    web, *name_servers = sys.argv[3:]
    await loop.create_datagram_endpoint(Echo, local_addr=(web, 443))
    for address in name_servers:
        await loop.create_datagram_endpoint(NameServer, local_addr=(address, 53))
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while await lines.readline():
        print(json.dumps(ASKED), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
