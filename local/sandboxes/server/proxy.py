"""The way from a client to a sandbox: checked, then answered about processes or passed on byte by byte."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from local.sandboxes.processes import routes as processes
from local.sandboxes.server.access import same, signature_fits
from local.sandboxes.server.errors import ApiError, SandboxMissingError, UnreachableError
from local.sandboxes.server.journal import Level
from local.sandboxes.server.registry import Registry
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.upstream import Body, Upstream

ID_HEADER = "E2b-Sandbox-Id"
PORT_HEADER = "E2b-Sandbox-Port"
TOKEN_HEADER = "X-Access-Token"  # noqa: S105 - the header's name
ENVD_PORT = "49983"

# Everything else of the daemon's, above all `/init`, is for the server alone.
_OPEN_ROUTES = re.compile(
    r"GET /(health|files|metrics|envs)|POST /files(/compose)?"
    r"|POST /(process\.Process|filesystem\.Filesystem)/[A-Za-z]+"
)
_NOT_FORWARDED = {
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-access-token",
    "x-api-key",
}
_SMALL_BODY_BYTES = 64 * 1024

Wake = Callable[[Sandbox], Awaitable[None]]


def is_for_envd(request: web.BaseRequest) -> bool:
    """Whether the request is for a sandbox's daemon rather than for the control plane."""
    return ID_HEADER in request.headers or (request.path == "/files" and "signature" in request.query)


async def forward(registry: Registry, wake: Wake, request: web.BaseRequest) -> web.StreamResponse:
    """Pass a request on to its sandbox, which `wake` resumes if it is paused and wants that.

    Raises `ApiError` if it may not, or the sandbox is gone.
    """
    sandbox = _find_sandbox(registry, request)
    if sandbox.state == "paused":
        try:
            await asyncio.shield(asyncio.ensure_future(wake(sandbox)))
        except SandboxMissingError:  # It ended meanwhile.
            raise UnreachableError.gone(sandbox.sandbox_id) from None
    upstream = sandbox.upstream
    try:
        with upstream.in_use():
            response = await _answer(upstream, request)
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        raise _why_unreachable(registry, sandbox) from error
    except asyncio.CancelledError:
        # The sandbox's end cancels, and so does the client's.
        if not upstream.closed:
            raise
        raise UnreachableError.gone(sandbox.sandbox_id) from None
    level: Level = "warn" if response.status >= HTTPStatus.BAD_REQUEST else "debug"
    sandbox.journal.note(
        "daemon_called", level, method=request.method, path=request.path, status=response.status
    )
    return response


async def _answer(upstream: Upstream, request: web.BaseRequest) -> web.StreamResponse:
    if request.path.startswith(processes.PREFIX):
        return await processes.handle(upstream.processes, request)
    if request.path == "/health":
        if not await upstream.answers():
            raise ConnectionError("the first process does not answer")
        return web.Response(status=204)
    return await _exchange(upstream, request)


async def _exchange(upstream: Upstream, request: web.BaseRequest) -> web.StreamResponse:
    async with upstream.request(
        request.method,
        request.rel_url.raw_path_qs,
        headers=_passed_on(request.headers),
        data=await _body(request),
    ) as answer:
        return await _relay(request, answer)


def _find_sandbox(registry: Registry, request: web.BaseRequest) -> Sandbox:
    sandbox_id = request.headers.get(ID_HEADER)
    if sandbox_id is None:
        return _signed_for(registry, request)
    if request.headers.get(PORT_HEADER, ENVD_PORT) != ENVD_PORT:
        raise UnreachableError.closed(sandbox_id)
    sandbox = registry.find(sandbox_id)
    if sandbox is None or not _serves(sandbox, request):
        raise UnreachableError.gone(sandbox_id)
    if not _OPEN_ROUTES.fullmatch(f"{request.method} {request.rel_url.raw_path}"):
        raise ApiError(404, f"there is no {request.method} {request.path}")
    if not _may(request, sandbox):
        raise ApiError(401, "the X-Access-Token header, or the URL's signature, is missing or wrong")
    return sandbox


def _serves(sandbox: Sandbox, request: web.BaseRequest) -> bool:
    # To ask whether a sandbox runs, which needs no token, must not make it run.
    wakes = sandbox.request.auto_resume.enabled and sandbox.pause_mode == "full" and request.path != "/health"
    return sandbox.state == "running" or wakes


def _may(request: web.BaseRequest, sandbox: Sandbox) -> bool:
    if request.path == "/health" or same(request.headers.get(TOKEN_HEADER), sandbox.token):
        return True
    return request.path == "/files" and signature_fits(request.query, request.method, sandbox.token)


def _signed_for(registry: Registry, request: web.BaseRequest) -> Sandbox:
    # Signed URLs name no sandbox: only the token that signed them tells which one is meant.
    if request.method in ("GET", "POST"):
        for sandbox in registry:
            if _serves(sandbox, request) and signature_fits(request.query, request.method, sandbox.token):
                return sandbox
    raise ApiError(401, "the URL's signature is wrong or over, or its sandbox is gone")


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _NOT_FORWARDED)


async def _body(request: web.BaseRequest) -> Body:
    if not request.can_read_body:
        return None
    if request.content_length is not None and request.content_length <= _SMALL_BODY_BYTES:
        return await request.content.readexactly(request.content_length)
    return request.content.iter_any()


async def _relay(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except BaseException:
        # An end without the last chunk: nobody may take the half for the whole.
        if request.transport:
            request.transport.close()
        raise
    return response


def _why_unreachable(registry: Registry, sandbox: Sandbox) -> UnreachableError:
    if registry.find(sandbox.sandbox_id) is sandbox and sandbox.state == "running":
        return UnreachableError.closed(sandbox.sandbox_id)
    return UnreachableError.gone(sandbox.sandbox_id)
