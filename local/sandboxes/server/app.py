"""The server's one HTTP application: control plane, proxy, health and numbers on a single port."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CONTENT_TYPE_LATEST

from local.sandboxes.engine import EngineError
from local.sandboxes.processes import routes as processes
from local.sandboxes.server import log
from local.sandboxes.server.access import same
from local.sandboxes.server.builds.routes import TemplateRoutes
from local.sandboxes.server.control import SandboxRoutes
from local.sandboxes.server.counters import Counters
from local.sandboxes.server.errors import ApiError, not_supported
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.observation_routes import ObservationRoutes
from local.sandboxes.server.proxy import forward, is_for_envd
from local.sandboxes.server.snapshot_routes import SnapshotRoutes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES = 1024 * 1024
MAX_LINE_BYTES = 16 * 1024
_OPEN_PATHS = ("/health", "/metrics")


def make_app(
    lifecycle: Lifecycle, layers: Layers, api_key: str, templates: TemplateRoutes | None = None
) -> web.Application:
    """Put the application together; without `templates` none can be built."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "sandboxes": len(lifecycle.registry)})

    async def metrics(_: web.Request) -> web.Response:
        states = [sandbox.state for sandbox in lifecycle.registry]
        text = lifecycle.counters.to_text(states, lifecycle.prepared)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_for_envd(request):
            return await forward(lifecycle.registry, lifecycle.wake, request)
        is_open = request.path in _OPEN_PATHS or (templates is not None and templates.is_open(request))
        if not is_open and not same(request.headers.get("X-API-KEY"), api_key):
            raise ApiError(
                401, "the X-API-KEY header is missing or wrong: set E2B_API_KEY to this server's key"
            )
        # A client that goes away cuts off streams only: half a change would be worse than one too many.
        return await asyncio.shield(asyncio.ensure_future(handler(request)))

    async def nowhere(_: web.Request) -> web.Response:
        raise web.HTTPNotFound

    observation = ObservationRoutes(lifecycle)
    errors = _answer_errors(lifecycle.counters)
    app = web.Application(middlewares=[errors, guard], client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(observation.measuring)
    app.add_routes([web.get("/health", health), web.get("/metrics", metrics)])
    # The guard answers these for a sandbox. A known path is found at once, an unknown one sought everywhere.
    app.add_routes([web.route("*", processes.PREFIX + "{call}", nowhere)])
    app.add_routes(observation.routes())
    app.add_routes(SandboxRoutes(lifecycle).routes())
    if templates is not None:
        app.add_routes(templates.routes())
    app.add_routes(SnapshotRoutes(layers, lifecycle).routes())
    return app


async def start(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, str]:
    """Serve the application. Returns what stops it, and its URL: port 0 takes a free one."""
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        # Bodies are passed on as they came; no route of our own takes packed ones.
        auto_decompress=False,
        access_log=None,
        max_line_size=MAX_LINE_BYTES,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    bound_host, bound_port = runner.addresses[0][:2]
    return runner, f"http://{bound_host}:{bound_port}"


def _answer_errors(counters: Counters) -> Middleware:
    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (ApiError, EngineError, web.HTTPException) as error:
            told = _as_api_error(request, error)
            counters.refused(told.status)
            return told.to_response()

    return answer_errors


def _as_api_error(request: web.Request, error: ApiError | EngineError | web.HTTPException) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, web.HTTPNotFound):
        return not_supported(f"{request.method} {request.path}")
    if isinstance(error, web.HTTPException):
        return ApiError(error.status, error.reason)
    log.failure("engine_failed", error)
    return ApiError(500, f"the engine failed: {error}")
