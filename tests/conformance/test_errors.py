"""What goes wrong on the server's side, and what it leaves out: each with the SDK's own exception."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from e2b import SandboxException, Secret, Volume
from e2b.exceptions import SecretException, ServiceBusyException, VolumeException

from local.sandboxes.server.app import make_app
from local.sandboxes.server.builds.catalogue import TemplateCatalogue
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.settings import Settings
from local.sandboxes.server.snapshots import SnapshotCatalogue
from local.sandboxes.server.templates import Template
from tests.conformance.conftest import Sdk
from tests.conformance.javascript_sdk import js_class
from tests.conformance.node import Node
from tests.conformance.server import RunningServer
from tests.unit.fake_engine import FakeEngine

pytestmark = pytest.mark.local
KEY = "e2b_0123456789abcdef"


@pytest.fixture
def engine() -> FakeEngine:
    """An engine that breaks when it is told to; nothing answers in its sandboxes."""
    return FakeEngine()


@pytest.fixture
async def options(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """What binds the SDK to a server over that engine."""
    templates = TemplateCatalogue(tmp_path / "templates.json")
    layers = Layers(
        engine, SnapshotCatalogue(tmp_path / "snapshots.json"), templates, Template("t", ("base",))
    )
    lifecycle = Lifecycle(engine, layers, Settings(KEY, tmp_path))
    async with TestServer(make_app(lifecycle, layers, KEY)) as server:
        url = str(server.make_url("")).rstrip("/")
        yield {"api_key": KEY, "api_url": url, "sandbox_url": url}
        await lifecycle.close()


async def test_an_engine_that_can_make_no_sandbox_is_a_busy_service(
    sdk: Sdk, engine: FakeEngine, options: dict[str, str]
) -> None:
    engine.broken = True
    with pytest.raises(ServiceBusyException, match="no sandbox could be made: no memory left"):
        await sdk.create(**options, retries=0)
    assert len(engine.sandboxes) == 1


async def test_a_sandbox_that_does_not_answer_is_not_paused_strictly_and_runs_on(
    sdk: Sdk, options: dict[str, str]
) -> None:
    if sdk.flavour == "js":
        pytest.skip("the JavaScript SDK has no strict")
    sandbox = await sdk.create(**options)
    with pytest.raises(ServiceBusyException, match="its daemon does not answer"):
        await sdk(sandbox.pause, strict=True, retries=0)
    assert (await sdk(sandbox.get_info)).state.value == "running"
    assert await sdk(sandbox.pause) is True


async def test_a_freezer_that_fails_is_the_server_s_fault_and_the_sandbox_runs_on(
    sdk: Sdk, engine: FakeEngine, options: dict[str, str]
) -> None:
    sandbox = await sdk.create(**options)
    engine.broken = True
    with pytest.raises(SandboxException, match="the engine failed: can not freeze") as caught:
        await sdk(sandbox.pause, retries=0)
    assert caught.value.status_code == 500
    assert (await sdk(sandbox.get_info)).state.value == "running"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda options: Volume.create("v", **options), VolumeException),
        (lambda options: Volume.list(**options), VolumeException),
        (lambda options: Volume.connect("v", **options), VolumeException),
        (lambda options: Volume.destroy("v", **options), VolumeException),
        (lambda options: Volume.get_info("v", **options), VolumeException),
        (lambda options: Secret.create("s", "v", **options), SecretException),
        (lambda options: Secret.exists("s", **options), SecretException),
        (lambda options: Secret.get_info("s", **options), SecretException),
        (lambda options: Secret.update("s", "v", **options), SecretException),
        (lambda options: Secret.destroy("s", **options), SecretException),
        (lambda options: Secret.list(**options).next_items(), SecretException),
    ],
    ids=[f"volume-{name}" for name in ("create", "list", "connect", "destroy", "get")]
    + [f"secret-{name}" for name in ("create", "exists", "get", "update", "destroy", "list")],
)
async def test_volumes_and_secrets_are_said_to_be_left_out(
    sandbox_server: RunningServer, call: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="not supported by the local sandbox server"):
        await asyncio.to_thread(call, sandbox_server.options)


@pytest.mark.parametrize(
    ("kind", "call", "arguments"),
    [
        *(("Volume", call, ("v",)) for call in ("create", "connect", "destroy", "get_info")),
        ("Volume", "list", ()),
        *(("Secret", call, ("s",)) for call in ("exists", "destroy", "get_info")),
        *(("Secret", call, ("s", "v")) for call in ("create", "update")),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_the_javascript_sdk_is_told_so_too(
    node: Node, sandbox_server: RunningServer, kind: str, call: str, arguments: tuple[str, ...]
) -> None:
    options = {key: value for key, value in sandbox_server.options.items() if key != "sandbox_url"}
    refused = {"Volume": VolumeException, "Secret": SecretException}[kind]
    with pytest.raises(refused, match="not supported by the local sandbox server"):
        await getattr(js_class(node, kind), call)(*arguments, **options)


async def test_workload_identity_is_said_to_be_left_out(sdk: Sdk) -> None:
    if sdk.flavour == "js":
        pytest.skip("the JavaScript SDK has no iam")
    identity = {"tokens": {"aws": {"audience": "sts.example.com", "token_type": "JWT-SVID"}}}
    with pytest.raises(SandboxException, match=r"workload identity \(iam\): not supported"):
        await sdk.create(iam=identity)
