"""The life of sandboxes over an engine in memory: races, limits, failures, layers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from local.sandboxes.engine import BASE_LAYER, NetworkPolicy
from local.sandboxes.server.app import make_app
from local.sandboxes.server.builds.catalogue import TemplateCatalogue
from local.sandboxes.server.errors import ApiError, SandboxMissingError
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.schemas import NetworkUpdate, NewSandbox
from local.sandboxes.server.settings import Settings
from local.sandboxes.server.snapshots import SnapshotCatalogue
from local.sandboxes.server.templates import Template
from tests.unit.fake_engine import FakeEngine, FakeSandbox

KEY = "e2b_unit"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def layers(engine: FakeEngine, tmp_path: Path) -> Layers:
    templates = TemplateCatalogue(tmp_path / "templates.json")
    snapshots = SnapshotCatalogue(tmp_path / "snapshots.json")
    return Layers(engine, snapshots, templates, Template("castari-base", ("base",)))


@pytest.fixture
async def lifecycle(engine: FakeEngine, layers: Layers, tmp_path: Path) -> AsyncIterator[Lifecycle]:
    lifecycle = Lifecycle(engine, layers, Settings(KEY, tmp_path, max_sandboxes=2))
    yield lifecycle
    engine.gate.set()
    await lifecycle.close()


async def create(lifecycle: Lifecycle, template: str = "base", **wishes: object) -> Sandbox:
    return await lifecycle.create(NewSandbox.model_validate({"templateID": template, **wishes}))


def guest_of(sandbox: Sandbox) -> FakeSandbox:
    assert isinstance(sandbox.guest, FakeSandbox)
    return sandbox.guest


async def test_a_create_whose_client_leaves_is_finished_and_known(
    engine: FakeEngine, layers: Layers, lifecycle: Lifecycle
) -> None:
    engine.gate.clear()
    async with TestClient(TestServer(make_app(lifecycle, layers, KEY), handler_cancellation=True)) as client:
        options = {"json": {"templateID": "base"}, "headers": {"X-API-KEY": KEY}}
        request = asyncio.create_task(client.post("/v2/sandboxes", **options))  # type: ignore[arg-type]
        await until(lambda: bool(engine.sandboxes))
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await asyncio.sleep(0.01)
        engine.gate.set()
        await until(lambda: len(lifecycle.registry) == 1)


async def test_a_sandbox_that_dies_is_forgotten_and_cleared_away(lifecycle: Lifecycle) -> None:
    sandbox = await create(lifecycle)
    guest_of(sandbox).dead.set()
    await until(lambda: len(lifecycle.registry) == 0)
    await until(lambda: "kill" in guest_of(sandbox).calls)


async def test_a_kill_waits_for_a_pause_that_is_half_done(engine: FakeEngine, lifecycle: Lifecycle) -> None:
    sandbox = await create(lifecycle)
    engine.gate.clear()
    pausing = asyncio.create_task(lifecycle.pause(sandbox))
    await until(lambda: "pause begins" in guest_of(sandbox).calls)
    killing = asyncio.create_task(lifecycle.kill(sandbox, "killed"))
    await asyncio.sleep(0)
    assert "kill" not in guest_of(sandbox).calls
    engine.gate.set()
    await asyncio.gather(pausing, killing)
    assert guest_of(sandbox).calls == ["pause begins", "pause ends", "kill"]


async def test_what_has_ended_can_not_be_paused_kept_or_killed_again(lifecycle: Lifecycle) -> None:
    sandbox = await create(lifecycle)
    await lifecycle.kill(sandbox, "killed")
    for change in (
        lifecycle.pause(sandbox),
        lifecycle.resume(sandbox, 10),
        lifecycle.snapshot(sandbox, None),
        lifecycle.kill(sandbox, "killed"),
    ):
        with pytest.raises(SandboxMissingError):
            await change


async def test_of_two_kills_one_wins_and_the_engine_hears_it_once(lifecycle: Lifecycle) -> None:
    sandbox = await create(lifecycle)
    kills = (lifecycle.kill(sandbox, "killed"), lifecycle.kill(sandbox, "timeout"))
    outcomes = await asyncio.gather(*kills, return_exceptions=True)
    assert [isinstance(each, SandboxMissingError) for each in outcomes] == [False, True]
    assert guest_of(sandbox).calls == ["kill"]


async def test_a_pause_that_fails_leaves_the_sandbox_running(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    sandbox = await create(lifecycle)
    engine.broken = True
    with pytest.raises(Exception, match="can not freeze"):
        await lifecycle.pause(sandbox)
    assert sandbox.state == "running"
    assert not sandbox.upstream.closed


async def test_sandboxes_being_made_count_towards_the_limit(engine: FakeEngine, lifecycle: Lifecycle) -> None:
    engine.gate.clear()
    making = [asyncio.create_task(create(lifecycle)) for _ in range(2)]
    await until(lambda: len(engine.sandboxes) == 2)
    with pytest.raises(ApiError, match=r"maximum number .* \(2\)") as caught:
        await create(lifecycle)
    assert caught.value.status == 429
    engine.gate.set()
    await asyncio.gather(*making)


async def test_paused_sandboxes_do_not_count_towards_the_limit(lifecycle: Lifecycle) -> None:
    for _ in range(3):
        await lifecycle.pause(await create(lifecycle))
    assert len(lifecycle.registry) == 3


async def test_what_the_engine_can_not_make_is_503_with_its_reason(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    engine.broken = True
    with pytest.raises(ApiError, match="no memory left") as caught:
        await create(lifecycle)
    assert caught.value.status == 503
    engine.broken = False
    assert await create(lifecycle)


async def test_a_daemon_that_can_not_be_told_its_environment_is_killed(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    # Nothing answers in this engine's sandboxes.
    with pytest.raises(ConnectionError, match="has ended"):
        await create(lifecycle, envVars={"A": "b"})
    assert engine.sandboxes[0].calls == ["kill"]
    assert len(lifecycle.registry) == 0


async def test_agents_get_no_privileges_and_the_wanted_network(lifecycle: Lifecycle) -> None:
    sandbox = await create(
        lifecycle, allow_internet_access=False, network={"allowOut": ["1.1.1.1"], "denyOut": ["0.0.0.0/0"]}
    )
    spec = guest_of(sandbox).spec
    assert spec.privileges == "none"
    assert not spec.network.allow_internet
    assert (spec.network.allow_out, spec.network.deny_out) == (("1.1.1.1",), ("0.0.0.0/0",))


async def test_layers_stay_while_a_snapshot_or_a_sandbox_stands_on_them(
    engine: FakeEngine, layers: Layers, lifecycle: Lifecycle
) -> None:
    first = await lifecycle.snapshot(await create(lifecycle), None)
    middle = await create(lifecycle, first.snapshot_id)
    second = await lifecycle.snapshot(middle, "named")
    assert second.layers == (second.snapshot_id, first.snapshot_id, BASE_LAYER)
    layers.delete(first.snapshot_id)
    await layers.collect(lifecycle.registry)
    assert engine.kept_layers == {first.snapshot_id, second.snapshot_id}
    layers.delete("named:default")
    await layers.collect(lifecycle.registry)
    assert engine.kept_layers == {first.snapshot_id}
    await lifecycle.kill(middle, "killed")
    await until(lambda: not engine.kept_layers)


async def test_a_layer_without_a_snapshot_is_removed_at_the_start(engine: FakeEngine, layers: Layers) -> None:
    engine.kept_layers.add("s-left-by-a-crash")
    await layers.collect(())
    assert not engine.kept_layers


async def test_a_snapshot_whose_layer_is_lost_is_no_template(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    snapshot = await lifecycle.snapshot(await create(lifecycle), None)
    engine.kept_layers.clear()
    with pytest.raises(ApiError, match="not found"):
        await create(lifecycle, snapshot.snapshot_id)


async def test_a_name_belongs_to_its_latest_snapshot_also_after_a_restart(
    lifecycle: Lifecycle, tmp_path: Path
) -> None:
    sandbox = await create(lifecycle)
    await lifecycle.snapshot(sandbox, "mine")
    latest = await lifecycle.snapshot(sandbox, "mine:default")
    again = SnapshotCatalogue(tmp_path / "snapshots.json")
    found = again.find("mine")
    assert found == latest
    assert len(list(again)) == 2


async def test_a_sandbox_is_held_to_what_its_client_asked_for_last(lifecycle: Lifecycle) -> None:
    first = {"allowOut": ["example.com", "8.8.8.8"], "denyOut": ["0.0.0.0/0"], "dnsServers": ["9.9.9.9"]}
    sandbox = await create(lifecycle, network=first)
    assert sandbox.guest.spec.network == NetworkPolicy(
        allow_out=("example.com", "8.8.8.8", "9.9.9.9"), deny_out=("0.0.0.0/0",)
    )
    await lifecycle.set_network(sandbox, NetworkUpdate(allow_internet_access=False))
    assert guest_of(sandbox).network == NetworkPolicy(allow_internet=False)
    (copy,) = await lifecycle.fork(sandbox, 15, 1)
    assert isinstance(copy, Sandbox)
    assert copy.guest.spec.network == NetworkPolicy(allow_internet=False)


async def test_a_sandbox_s_log_tells_what_its_policy_kept_it_from(lifecycle: Lifecycle) -> None:
    sandbox = await create(lifecycle)
    guest_of(sandbox).refuse("evil.example.org", 443)
    entry = lifecycle.journal(sandbox.sandbox_id).entries[-1]
    assert (entry.level, entry.message) == ("warn", "connection_refused")
    assert entry.fields == {"host": "evil.example.org", "port": 443}


async def test_the_disk_that_a_sandbox_starts_anew_from_goes_with_it(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    sandbox = await create(lifecycle)
    await lifecycle.pause(sandbox)
    await lifecycle.resume(sandbox, None, memory=False)
    first, second = engine.sandboxes
    assert first.calls[-1] == "kill"
    (layer,) = engine.kept_layers
    assert (sandbox.guest, second.spec.layers) == (second, (layer, BASE_LAYER))
    assert (second.spec.sandbox_id, sandbox.state) == (sandbox.sandbox_id, "running")
    await lifecycle.kill(sandbox, "killed")
    await until(lambda: not engine.kept_layers)


async def test_a_sandbox_that_can_not_start_anew_stays_paused_and_may_later(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    sandbox = await create(lifecycle)
    await lifecycle.pause(sandbox)
    engine.full = True
    with pytest.raises(ApiError, match="no room left"):
        await lifecycle.resume(sandbox, None, memory=False)
    assert (sandbox.state, sandbox.pause_mode) == ("paused", "full")
    engine.full, engine.broken = False, True
    with pytest.raises(ApiError, match="no sandbox could be made"):
        await lifecycle.resume(sandbox, None, memory=False)
    assert (sandbox.state, sandbox.pause_mode) == ("paused", "filesystem")
    with pytest.raises(ApiError, match="connect to the sandbox first"):
        await lifecycle.snapshot(sandbox, None)
    engine.broken = False
    await lifecycle.resume(sandbox, None)
    assert (sandbox.state, len(lifecycle.registry)) == ("running", 1)


async def test_the_death_of_a_sandbox_that_was_started_anew_is_noticed(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    sandbox = await create(lifecycle)
    await lifecycle.pause(sandbox)
    await lifecycle.resume(sandbox, None, memory=False)
    engine.sandboxes[-1].dead.set()
    await until(lambda: not len(lifecycle.registry))


async def test_a_sandbox_that_can_not_be_paused_does_not_outlive_its_time(
    engine: FakeEngine, lifecycle: Lifecycle
) -> None:
    # Nothing answers in this engine's sandboxes, so that no disk can be kept alone.
    sandbox = await create(lifecycle, autoPause=True, autoPauseMemory=False)
    frozen = await create(lifecycle, autoPause=True)
    engine.broken = True
    for each in (sandbox, frozen):
        lifecycle.set_timeout(each, 0)
    await until(lambda: not len(lifecycle.registry))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the code under test has no event for it
            await asyncio.sleep(0)
