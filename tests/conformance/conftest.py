"""One server for the whole suite, and each case with three SDKs: Python sync, Python async, JavaScript.

As root the suite runs over real isolation; `CASTARI_TEST_ENGINE=bare` runs it over none. `CASTARI_TEST_E2B=1`
with `E2B_API_KEY` points it at E2B itself, without the cases that only the local server can have.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, AsyncTemplate, Sandbox, Template

from tests.conformance.cases import FLAVOURS, Cases
from tests.conformance.javascript_sdk import Description, js_class
from tests.conformance.node import Node, running_node
from tests.conformance.server import HostedE2B, RunningServer, running_server

ENGINE = os.environ.get("CASTARI_TEST_ENGINE") or ("namespaces" if os.geteuid() == 0 else "bare")
ON_E2B = os.environ.get("CASTARI_TEST_E2B") == "1"

_CLASSES = {"sync": (Sandbox, Template), "async": (AsyncSandbox, AsyncTemplate)}
_cases = Cases()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out on E2B what only the local server can have."""
    if ON_E2B and not os.environ.get("E2B_API_KEY"):
        raise pytest.UsageError("CASTARI_TEST_E2B=1 needs E2B_API_KEY: copy it from your E2B dashboard")
    skip = pytest.mark.skip(reason="a case of the local server alone")
    for item in items:
        if ON_E2B and item.get_closest_marker("local"):
            item.add_marker(skip)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the cases that passed."""
    if report.when == "call" and report.passed and report.nodeid.startswith("tests/conformance/"):
        _cases.add(report.nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell how many there were."""
    if len(_cases):
        terminalreporter.write_line(_cases.summary())


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer | HostedE2B]:
    """A server that lives as long as this test worker."""
    if ON_E2B:
        yield HostedE2B(os.environ["E2B_API_KEY"])
        return
    with running_server(tmp_path_factory.mktemp("sandboxes"), engine=ENGINE) as server:
        yield server


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The JavaScript SDK's process."""
    with running_node() as node:
        yield node


Step = tuple[str, tuple[Any, ...], dict[str, Any]]


def step(method: str, *arguments: Any, **options: Any) -> Step:
    """A call on a template's builder."""
    return method, arguments, options


@dataclass(frozen=True)
class Sdk:
    """One flavour of the SDK, called in one way: `await sdk(function, argument, …)`."""

    sandbox_class: Any
    server: RunningServer | HostedE2B
    flavour: str = "sync"
    template_class: Any = Template

    @property
    def calls_back(self) -> bool:
        """Whether output and events come through functions; the sync flavour is asked for them."""
        return self.sandbox_class is not Sandbox

    async def __call__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a method of any flavour; the sync one blocks in a thread."""
        if self.calls_back:
            result = function(*arguments, **options)
            return await result if isinstance(result, Awaitable) else result
        return await asyncio.to_thread(partial(function, *arguments, **options))

    async def create(self, template: str = "base", **options: Any) -> Any:
        """Make a sandbox; the caller kills it."""
        return await self(self.sandbox_class.create, template, **{**self.server.options, **options})

    async def build(
        self, name: str, *steps: Step, context: str = "", call: str = "build", **options: Any
    ) -> Any:
        """Build a template from what `step` describes; `call` may be `build_in_background`."""
        described = Description(context, tuple(steps))
        template = described if self.flavour == "js" else self._describe(described)
        return await self.templates(call, template, name, **options)

    async def templates(self, call: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the SDK's class for templates."""
        given = {**self.server.options, **options}
        given.pop("sandbox_url", None)
        return await self(getattr(self.template_class, call), *arguments, **given)

    def _describe(self, described: Description) -> Any:
        context = {"file_context_path": described.context} if described.context else {}
        template = self.template_class(**context)
        for method, arguments, options in described.steps:
            template = getattr(template, method)(*arguments, **options)
        return template

    async def stream_input(self, target: Any, pid: int, chunks: list[str]) -> None:
        """Feed one of a sandbox's `commands`, or its `pty`, by one client stream."""
        if self.sandbox_class is not AsyncSandbox:
            await self(target.stream_input, pid, chunks)
            return
        async with target.stream_input(pid) as stream:
            for chunk in chunks:
                await stream.send(chunk)

    async def collect(self, stream: Any) -> list[bytes]:
        """Read a stream of chunks to its end."""
        if isinstance(stream, list):
            return stream
        if self.sandbox_class is AsyncSandbox:
            return [bytes(chunk) async for chunk in stream]
        return await asyncio.to_thread(lambda: [bytes(chunk) for chunk in stream])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that can only be asked for is so."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)


@pytest.fixture(params=FLAVOURS)
def sdk(request: pytest.FixtureRequest, sandbox_server: RunningServer) -> Sdk:
    """Each flavour in turn."""
    if request.param == "js":
        node = request.getfixturevalue("node")
        return Sdk(js_class(node, "Sandbox"), sandbox_server, "js", js_class(node, "Template"))
    sandbox_class, template_class = _CLASSES[request.param]
    return Sdk(sandbox_class, sandbox_server, request.param, template_class)


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
