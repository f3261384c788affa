"""An HTTP proxy that notes each request's time and name, so that calls can be counted from outside."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time
from typing import Literal, TypeVar

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

_HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})


Moment = Literal["come", "answered"]


@dataclass(frozen=True)
class Call:
    """One request that went through: when (seconds since the epoch), and `METHOD target-or-path`."""

    at: float
    name: str


@dataclass
class CountingProxy:
    """What one proxy saw. `url` is where clients send requests instead of the upstream."""

    upstream: str
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    watch: Callable[[str, Moment], None] = lambda _name, _moment: None
    """Told each call's name when it has come, and again when its answer has begun."""

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Note the request, then pass it on with its Host untouched: signatures cover it."""
        name = f"{request.method} {request.headers.get('X-Amz-Target', request.path)}"
        self.calls.append(Call(time(), name))
        self.watch(name, "come")
        headers = self.headers(request)
        target = URL(self.upstream + request.raw_path, encoded=True)
        body = request.content if request.body_exists else None
        session = request.app[_SESSION]
        async with session.request(
            request.method, target, headers=headers, data=body, allow_redirects=False
        ) as answer:
            self.watch(name, "answered")
            return await _relay(request, answer)

    def headers(self, request: web.Request) -> list[tuple[str, str]]:
        """Return the headers that go on to the upstream."""
        return [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP_HEADERS]


async def _relay(request: web.Request, answer: ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    for key, value in answer.headers.items():
        if key.lower() not in _HOP_HEADERS:
            response.headers.add(key, value)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ClientError, ConnectionError):
        # Either side let go of the stream: the other one must see it end unfinished, too.
        if request.transport:
            request.transport.close()
    return response


_SESSION = web.AppKey("session", ClientSession)


ProxyT = TypeVar("ProxyT", bound=CountingProxy)


@contextmanager
def counting_proxy(upstream: str) -> Iterator[CountingProxy]:
    """Serve a proxy in front of `upstream` on a free loopback port, from a thread of its own."""
    with served(CountingProxy(upstream)) as proxy:
        yield proxy


@contextmanager
def served(proxy: ProxyT) -> Iterator[ProxyT]:
    """Serve any such proxy until the block ends."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    thread = threading.Thread(target=_serve, args=(loop, proxy, ready), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _serve(loop: asyncio.AbstractEventLoop, proxy: CountingProxy, ready: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    runner = loop.run_until_complete(_start(proxy))
    ready.set()
    loop.run_forever()
    loop.run_until_complete(_stop(runner))
    loop.close()


async def _start(proxy: CountingProxy) -> web.AppRunner:
    app = web.Application(client_max_size=0)
    app.cleanup_ctx.append(_session)
    app.router.add_route("*", "/{path:.*}", proxy.forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    proxy.url = f"http://127.0.0.1:{port}"
    return runner


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    # Whoever let go of a stream leaves a handler behind that waits for its connection.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _session(app: web.Application) -> AsyncIterator[None]:
    connector = TCPConnector(limit=0)
    async with ClientSession(
        connector=connector, timeout=ClientTimeout(total=None), auto_decompress=False
    ) as s:
        app[_SESSION] = s
        yield
