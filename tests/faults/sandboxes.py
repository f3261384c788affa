"""A sandbox service that is busy, drops connections and loses sandboxes: a proxy before the stack's own."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from aiohttp import ClientSession, web

from bench.counting_proxy import CountingProxy

_START = "/process.Process/Start"
_VANISHES_AFTER_SECONDS = (0.0, 0.4)


@dataclass
class FaultySandboxes(CountingProxy):
    """Goes wrong in each way at `share` of the calls; as many of the sandboxes that are used vanish."""

    share: float = 0.0
    api_url: str = ""
    api_key: str = ""
    random: Random = field(default_factory=Random)
    fired: Counter[str] = field(default_factory=Counter)
    harmed: dict[str, list[str]] = field(default_factory=dict)
    """What was done to starts, by their sandbox, in the order in which it was done."""

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, or let it go wrong before or after the service saw it."""
        starts = request.path.endswith(_START)
        sandbox_id = request.headers.get("E2b-Sandbox-Id", "")
        match self._fate():
            case "429":
                return self._refused(429, "resource_exhausted", "too many requests: try again")
            case "503":
                # Says as little as a dropped connection does: a sandbox that ends answers with it, too.
                self._harm(sandbox_id if starts else "", "busy")
                return self._refused(503, "unavailable", "the service is busy: try again")
            case "reset":
                return await self._dropped(request, sandbox_id if starts else "")
            case _ if starts and self.random.random() < self.share:
                self.fired["vanished"] += 1
                self._harm(sandbox_id, "vanished")
                vanishing = asyncio.create_task(self._vanish(sandbox_id))
                try:
                    return await super().forward(request)
                finally:
                    await vanishing
            case _:
                return await super().forward(request)

    def _fate(self) -> str:
        drawn = self.random.random()
        fates = ("429", "503", "reset")
        fate = next((each for n, each in enumerate(fates, 1) if drawn < n * self.share), "well")
        self.fired[fate] += 1
        return fate

    def _harm(self, sandbox_id: str, how: str) -> None:
        if sandbox_id:
            self.harmed.setdefault(sandbox_id, []).append(how)

    def _refused(self, status: int, code: str, message: str) -> web.Response:
        return web.json_response({"code": code, "message": message}, status=status)

    async def _dropped(self, request: web.Request, started_in: str) -> web.StreamResponse:
        """Drop the connection: every other time, after the service did what was asked."""
        arrives = self.random.random() < 0.5
        self._harm(started_in, "unanswered" if arrives else "dropped")
        if arrives:
            body, headers = await request.read(), self.headers(request)
            async with (
                ClientSession(auto_decompress=False) as session,
                session.request(
                    request.method, f"{self.upstream}{request.raw_path}", headers=headers, data=body
                ) as answer,
            ):
                await answer.content.readany()
        if request.transport:
            request.transport.abort()
        raise web.HTTPInternalServerError

    async def _vanish(self, sandbox_id: str) -> None:
        await asyncio.sleep(self.random.uniform(*_VANISHES_AFTER_SECONDS))
        async with (
            ClientSession(headers={"X-API-Key": self.api_key}) as session,
            session.delete(f"{self.api_url}/sandboxes/{sandbox_id}") as answer,
        ):
            await answer.read()
