"""The control plane's routes for sandboxes: bodies in, one call of the lifecycle, JSON out."""

from collections.abc import Callable

from aiohttp import web

from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.idempotency import Idempotency
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.registry import Listing
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.schemas import (
    Connect,
    Fork,
    NetworkUpdate,
    NewSandbox,
    Pause,
    Refresh,
    Timeout,
    read_body,
)

MAX_KEY = 255
MIN_REFRESH_SECONDS = 15


class SandboxRoutes:
    """Handlers of everything under `/sandboxes` and `/v2/sandboxes` but snapshots."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._idempotency = Idempotency()

    def routes(self) -> list[web.RouteDef]:
        """Both generations of each route that has two."""
        both: list[tuple[Callable[..., web.RouteDef], str, object]] = [
            (web.post, "/sandboxes", self.create),
            (web.get, "/sandboxes", self.list),
            (web.post, "/sandboxes/{id}/connect", self.connect),
        ]
        generations = [
            method(prefix + path, handler) for method, path, handler in both for prefix in ("", "/v2")
        ]
        return [
            *generations,
            web.get("/sandboxes/{id}", self.info),
            web.delete("/sandboxes/{id}", self.kill),
            web.post("/sandboxes/{id}/timeout", self.set_timeout),
            web.put("/sandboxes/{id}/network", self.set_network),
            web.post("/sandboxes/{id}/pause", self.pause),
            web.post("/sandboxes/{id}/resume", self.resume),
            web.post("/sandboxes/{id}/fork", self.fork),
            web.post("/sandboxes/{id}/refreshes", self.refresh),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a sandbox."""
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 1 <= len(key) <= MAX_KEY:
            raise ApiError(400, f"Idempotency-Key: must have 1 to {MAX_KEY} characters")
        wish = await read_body(request, NewSandbox)

        async def create() -> dict[str, object]:
            return (await self._lifecycle.create(wish)).created_json()

        answer = await self._idempotency.once(key, await request.read(), create)
        return web.json_response(answer, status=201)

    async def list(self, request: web.Request) -> web.Response:
        """List sandboxes, a page at a time."""
        page, token = Listing.parse(request.query).page(self._lifecycle.registry)
        headers = {"x-next-token": token} if token else {}
        return web.json_response([each.listed_json() for each in page], headers=headers)

    async def info(self, request: web.Request) -> web.Response:
        """Describe a sandbox."""
        return web.json_response(self._sandbox(request).detail_json())

    async def kill(self, request: web.Request) -> web.Response:
        """End a sandbox."""
        await self._lifecycle.kill(self._sandbox(request), "killed")
        return web.Response(status=204)

    async def connect(self, request: web.Request) -> web.Response:
        """Give out a sandbox's token, resuming it if it is paused; never shortens its time."""
        wish = await read_body(request, Connect)
        seconds, sandbox = wish.timeout, self._sandbox(request)
        if sandbox.state == "paused":
            await self._lifecycle.resume(sandbox, seconds, memory=wish.memory)
            return web.json_response(sandbox.created_json(), status=201)
        self._lifecycle.set_timeout(sandbox, seconds, shorten=False)
        return web.json_response(sandbox.created_json())

    async def set_timeout(self, request: web.Request) -> web.Response:
        """Set when a running sandbox ends, from now on."""
        seconds = (await read_body(request, Timeout)).timeout
        self._lifecycle.set_timeout(self._running(request), seconds)
        return web.Response(status=204)

    async def set_network(self, request: web.Request) -> web.Response:
        """Replace where a running sandbox may connect to."""
        wish = await read_body(request, NetworkUpdate)
        await self._lifecycle.set_network(self._sandbox(request), wish)
        return web.Response(status=204)

    async def pause(self, request: web.Request) -> web.Response:
        """Freeze a sandbox."""
        wish = await read_body(request, Pause)
        await self._lifecycle.pause(self._sandbox(request), wish)
        return web.Response(status=204)

    async def resume(self, request: web.Request) -> web.Response:
        """Let a paused sandbox run on."""
        wish = await read_body(request, Connect)
        seconds, sandbox = wish.timeout, self._sandbox(request)
        if sandbox.state == "running":
            raise ApiError(409, f"sandbox {sandbox.sandbox_id} is already running")
        await self._lifecycle.resume(sandbox, seconds, memory=wish.memory)
        return web.json_response(sandbox.created_json(), status=201)

    async def fork(self, request: web.Request) -> web.Response:
        """Copy a sandbox; each copy succeeds or fails by itself."""
        wish = await read_body(request, Fork)
        made = await self._lifecycle.fork(self._running(request), wish.timeout, wish.count)
        results = [
            {"error": {"code": each.status, "message": each.message}}
            if isinstance(each, ApiError)
            else {"sandbox": each.created_json()}
            for each in made
        ]
        return web.json_response(results, status=201)

    async def refresh(self, request: web.Request) -> web.Response:
        """Let a running sandbox live that long from now on, if that is longer than it would."""
        wish = await read_body(request, Refresh)
        seconds = max(wish.duration or 0, MIN_REFRESH_SECONDS)
        self._lifecycle.set_timeout(self._running(request), seconds, shorten=False)
        return web.Response(status=204)

    def _sandbox(self, request: web.Request) -> Sandbox:
        return self._lifecycle.registry.get(request.match_info["id"])

    def _running(self, request: web.Request) -> Sandbox:
        sandbox = self._sandbox(request)
        if sandbox.state != "running":
            raise ApiError(404, f"sandbox {sandbox.sandbox_id} is paused: connect to it first")
        return sandbox
