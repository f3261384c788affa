"""One server for the whole suite, and each case with the sync and with the async SDK.

`CASTARI_TEST_ENGINE=namespaces` runs the suite over real isolation (needs root).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, Sandbox

from tests.conformance.server import RunningServer, running_server

ENGINE = os.environ.get("CASTARI_TEST_ENGINE", "bare")


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that lives as long as this test worker."""
    with running_server(tmp_path_factory.mktemp("sandboxes"), engine=ENGINE) as server:
        yield server


@dataclass(frozen=True)
class Sdk:
    """One flavour of the Python SDK, called in one way: `await sdk(function, argument, …)`."""

    sandbox_class: Any
    server: RunningServer

    async def __call__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a method of either flavour; the sync one blocks in a thread."""
        if self.sandbox_class is AsyncSandbox:
            result = function(*arguments, **options)
            return await result if isinstance(result, Awaitable) else result
        return await asyncio.to_thread(partial(function, *arguments, **options))

    async def create(self, template: str = "base", **options: Any) -> Any:
        """Make a sandbox; the caller kills it."""
        return await self(self.sandbox_class.create, template, **{**self.server.options, **options})

    async def stream_input(self, sandbox: Any, pid: int, chunks: list[str]) -> None:
        """Feed a command by one client stream."""
        if self.sandbox_class is Sandbox:
            await self(sandbox.commands.stream_input, pid, chunks)
            return
        async with sandbox.commands.stream_input(pid) as stream:
            for chunk in chunks:
                await stream.send(chunk)

    async def collect(self, stream: Any) -> list[bytes]:
        """Read a stream of chunks to its end."""
        if self.sandbox_class is AsyncSandbox:
            return [bytes(chunk) async for chunk in stream]
        return await asyncio.to_thread(lambda: [bytes(chunk) for chunk in stream])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that can only be asked for is so."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)


@pytest.fixture(params=[Sandbox, AsyncSandbox], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, sandbox_server: RunningServer) -> Sdk:
    """Each flavour in turn."""
    return Sdk(request.param, sandbox_server)


@pytest.fixture
async def sandbox(sdk: Sdk) -> AsyncIterator[Any]:
    """A sandbox that is killed after the test."""
    made = await sdk.create()
    yield made
    await sdk(made.kill)


@pytest.fixture
async def http(sandbox_server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client, for requests that the SDK would not send."""
    async with httpx.AsyncClient(base_url=sandbox_server.url) as client:
        yield client
