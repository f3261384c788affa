"""The one road from sandboxes to the host: an HTTP relay that lets presigned S3 requests through.

Start it with `python -m local.relay --help`. What may pass is decided in `relay_rules`. Errors reach the
sandbox as a status alone, because the local AWS explains its own with more than a stranger should read.
"""

import argparse
import asyncio
import signal
import sys

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from local.relay_door import CountedProtocol, Door, allow_many_connections
from local.relay_rules import Refused, Rules

_CHUNK_BYTES = 64 * 1024
_REQUEST_SECONDS = 300.0
_IDLE_SECONDS = 15.0
_LAST_SECONDS = 1.0
_ANSWERED_HEADERS = frozenset(
    {"accept-ranges", "content-length", "content-range", "content-type", "etag", "last-modified"}
)

_ADDED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""What the client would add by itself, though the sandbox did not send it."""


class Relay:
    """Passes admitted requests to `upstream`, the local AWS on loopback."""

    def __init__(self, rules: Rules, upstream: str, session: ClientSession) -> None:
        self._rules = rules
        self._upstream = upstream
        self._session = session

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request of a sandbox."""
        try:
            headers = [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers
            ]
            admitted = self._rules.admit(request.method, request.raw_path, headers)
            async with asyncio.timeout(_REQUEST_SECONDS):
                return await self._pass_on(request, admitted)
        except Refused as refusal:
            return _empty(refusal.status)
        except (ClientError, TimeoutError):
            return _empty(502)

    async def _pass_on(self, request: web.BaseRequest, headers: dict[str, str]) -> web.StreamResponse:
        url = URL(self._upstream + request.raw_path, encoded=True)
        body = request.content.iter_chunked(_CHUNK_BYTES) if request.can_read_body else None
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=_ADDED_HEADERS,
        ) as answer:
            if not answer.ok:
                return _empty(answer.status)
            return await _stream(request, answer)


async def _stream(request: web.BaseRequest, answer: ClientResponse) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() in _ANSWERED_HEADERS}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            await response.write(chunk)
        await response.write_eof()
    except (ClientError, TimeoutError):
        # The headers are out: only a broken connection tells that the rest is missing.
        if request.transport:
            request.transport.abort()
    return response


def _empty(status: int) -> web.Response:
    """Answer with a status and nothing else; a body that was not read makes the connection useless."""
    response = web.Response(status=status)
    response.force_close()
    return response


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    rules = Rules(f"{options.address}:{options.port}", frozenset(options.bucket))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ClientSession(
        connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None), auto_decompress=False
    ) as session:
        relay = Relay(rules, options.upstream, session)
        # No routes: whatever arrives, in whichever form, is for the rules to judge.
        server = web.Server(relay.handle, access_log=None, keepalive_timeout=_IDLE_SECONDS)
        door = Door()
        listening = await asyncio.get_running_loop().create_server(
            lambda: CountedProtocol(server(), door), options.address, options.port
        )
        async with listening:
            await stop.wait()
        await server.shutdown(_LAST_SECONDS)


def main() -> int:
    """Run the relay."""
    parser = argparse.ArgumentParser(prog="python -m local.relay", description=__doc__)
    parser.add_argument("--address", required=True, help="the address that sandboxes reach")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="URL of the local AWS")
    parser.add_argument(
        "--bucket", action="append", required=True, help="a bucket whose objects may be reached"
    )
    allow_many_connections()
    asyncio.run(serve(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
