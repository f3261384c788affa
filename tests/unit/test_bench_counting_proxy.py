"""The counting proxy: what it notes, and that it changes nothing that a signature covers."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from bench.counting_proxy import counting_proxy


@pytest.fixture
async def upstream() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _echo)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def _echo(request: web.Request) -> web.Response:
    body = (await request.read()).decode()
    return web.json_response(
        {"path": request.raw_path, "host": request.headers["Host"], "body": body},
        headers={"X-Upstream": "yes"},
        status=201,
    )


async def test_a_request_arrives_with_its_path_host_and_body_untouched(upstream: str) -> None:
    with counting_proxy(upstream) as proxy:
        async with aiohttp.ClientSession() as session:
            target = URL(f"{proxy.url}/b%2Fc?x=%2F", encoded=True)
            headers = {"Host": "bucket.example"}
            async with session.put(target, data=b"body", headers=headers) as answer:
                seen = await answer.json()
    assert seen == {"path": "/b%2Fc?x=%2F", "host": "bucket.example", "body": "body"}
    assert answer.status == 201
    assert answer.headers["X-Upstream"] == "yes"


async def test_calls_are_named_by_target_or_path(upstream: str) -> None:
    with counting_proxy(upstream) as proxy:
        async with aiohttp.ClientSession() as session:
            headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem"}
            async with session.post(f"{proxy.url}/", headers=headers) as answer:
                await answer.read()
            async with session.get(f"{proxy.url}/key?x=1") as answer:
                await answer.read()
    assert [call.name for call in proxy.calls] == ["POST DynamoDB_20120810.GetItem", "GET /key"]
    assert proxy.calls[0].at <= proxy.calls[1].at


async def test_a_stream_passes_before_it_ends() -> None:
    release = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await release.wait()
        return response

    app = web.Application()
    app.router.add_get("/", stream)
    async with TestServer(app) as server:
        with counting_proxy(str(server.make_url("")).rstrip("/")) as proxy:
            async with aiohttp.ClientSession() as session, session.get(proxy.url) as answer:
                assert await answer.content.readany() == b"first"
                release.set()
                assert await answer.read() == b""


async def test_a_client_that_lets_go_of_a_stream_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"more")
                await asyncio.sleep(0.001)
        finally:
            gone.set()

    app = web.Application()
    app.router.add_get("/", stream)
    async with TestServer(app) as server:
        with counting_proxy(str(server.make_url("")).rstrip("/")) as proxy:
            async with aiohttp.ClientSession() as session, session.get(proxy.url) as answer:
                await answer.content.readany()
                answer.close()
            await gone.wait()
    assert caplog.records == []


async def test_a_stream_that_breaks_off_upstream_is_not_taken_for_whole() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/", stream)
    async with TestServer(app) as server:
        with counting_proxy(str(server.make_url("")).rstrip("/")) as proxy:
            async with aiohttp.ClientSession() as session, session.get(proxy.url) as answer:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
