"""A road from sandboxes to S3 on which results get lost: a proxy behind the stack's relay."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from aiohttp import ClientSession, web
from yarl import URL

from bench.counting_proxy import CountingProxy, served
from local import identity, processes, relay_process
from local.places import Places

_WAYS = ("busy", "dropped", "unanswered")


@dataclass
class FaultyUploads(CountingProxy):
    """An upload goes wrong in each way with a chance of `share`: refused, not passed on, not answered."""

    share: float = 0.0
    random: Random = field(default_factory=Random)
    fired: Counter[str] = field(default_factory=Counter)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or let an upload go wrong before or after S3 saw it."""
        drawn = self.random.random()
        way = next((each for n, each in enumerate(_WAYS, 1) if drawn < n * self.share), None)
        if request.method != "PUT" or way is None:
            return await super().forward(request)
        self.fired[f"upload {way}"] += 1
        if way == "busy":
            return web.Response(status=503)
        if way == "unanswered":
            await self._carry_out(request)
        if request.transport:
            request.transport.abort()
        raise web.HTTPInternalServerError

    async def _carry_out(self, request: web.Request) -> None:
        target = URL(self.upstream + request.raw_path, encoded=True)
        body = await request.read()
        async with (
            ClientSession() as session,
            session.put(target, headers=self.headers(request), data=body) as answer,
        ):
            await answer.read()


@contextmanager
def faulty_uploads(places: Places) -> Iterator[FaultyUploads]:
    """Lead the stack's relay through it, with nothing wrong at first, until the block ends."""
    stack = identity.load(places.identity)
    assert stack, "no stack is running: run `make up` first"
    with served(FaultyUploads(stack.aws_url, random=Random(6))) as proxy:  # noqa: S311 - guards nothing
        port = int(proxy.url.rpartition(":")[2])
        try:
            _restart_relay(places, dataclasses.replace(stack, gateway_port=port))
            yield proxy
        finally:
            _restart_relay(places, stack)


def _restart_relay(places: Places, stack: identity.Identity) -> None:
    processes.stop(relay_process.NAME, places.pids)
    relay_process.start(places, stack)
