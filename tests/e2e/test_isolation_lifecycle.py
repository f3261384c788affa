"""Sandboxes are fresh, can be frozen and kept as layers, and leave nothing behind however they end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from local.sandboxes.engine import BASE_LAYER, EngineError, SandboxSpec
from local.sandboxes.namespaces import instances
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.inventory import Inventory, take_inventory, zygotes
from local.sandboxes.namespaces.leftovers import remove_leftovers
from local.sandboxes.namespaces.settings import Names
from tests.sandbox_engine import INSTANCE, eventually, nothing, run, running, settings

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.asyncio(loop_scope="module"),
]

OTHER = f"{INSTANCE[:6]}x"

# A server of its own, to be killed: it says when its sandbox runs, and then only waits.
SERVER = """
import asyncio, sys
from pathlib import Path
from local.sandboxes.engine import SandboxSpec
from local.sandboxes.namespaces.engine import NamespaceEngine
from tests.sandbox_engine import run, settings
import dataclasses
async def main():
    engine = NamespaceEngine(dataclasses.replace(settings(Path(sys.argv[1])), instance=sys.argv[2]))
    await engine.start()
    await engine.pool_filled()
    sandbox = await engine.create(SandboxSpec("doomed"))
    await run(sandbox, "setsid sleep 1000 > /dev/null 2>&1 &")
    print("running", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NamespaceEngine]:
    async with running(settings(tmp_path_factory.mktemp("state"))) as started:
        yield started


async def settled(expected: Inventory) -> Inventory:
    """The inventory once it is as expected, or as it still is after a while."""
    await eventually(lambda: take_inventory(INSTANCE) == expected)
    return take_inventory(INSTANCE)


async def test_kills_leave_equal_inventories(engine: NamespaceEngine) -> None:
    await engine.pool_filled()
    before = take_inventory(INSTANCE)
    made = await asyncio.gather(*(engine.create(SandboxSpec(str(number))) for number in range(6)))
    await asyncio.gather(
        *(run(each, "sleep 1000 > /dev/null 2>&1 & setsid sleep 999 > /dev/null 2>&1 &") for each in made)
    )
    assert take_inventory(INSTANCE).total > before.total
    await asyncio.gather(*(each.kill() for each in made))
    assert [await each.wait() for each in made] == ["killed"] * 6
    assert not any(each.envd_socket.exists() for each in made)
    await engine.pool_filled()
    assert await settled(before) == before


async def test_a_kill_can_be_repeated(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("twice"))
    await sandbox.kill()
    await sandbox.kill()
    assert await sandbox.wait() == "killed"


async def test_every_sandbox_starts_fresh(engine: NamespaceEngine) -> None:
    for number in range(3):
        sandbox = await engine.create(SandboxSpec(str(number)))
        assert (
            await run(sandbox, "ls ~; echo x > ~/trace; rm -f /usr/bin/wget 2> /dev/null; ls /tmp")
        ).output == ""
        await sandbox.kill()


async def test_a_burst_beyond_the_pool_is_served(engine: NamespaceEngine) -> None:
    made = await asyncio.gather(*(engine.create(SandboxSpec(str(number))) for number in range(10)))
    answers = await asyncio.gather(*(run(each, f"echo {number}") for number, each in enumerate(made)))
    assert [int(each.output) for each in answers] == list(range(10))
    await asyncio.gather(*(each.kill() for each in made))


async def test_a_frozen_sandbox_does_nothing_until_it_is_resumed(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("frozen"))
    await run(sandbox, "while true; do true; done > /dev/null 2>&1 &")
    await sandbox.pause()
    before = (await sandbox.usage()).cpu_ns
    await asyncio.sleep(0.3)
    assert (await sandbox.usage()).cpu_ns - before < 5_000_000
    await sandbox.resume()
    assert (await run(sandbox, "echo on")).output == "on\n"
    await sandbox.kill()


async def test_a_frozen_sandbox_can_be_killed(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("frozen"))
    await sandbox.pause()
    await sandbox.kill()
    assert await sandbox.wait() == "killed"


async def test_a_layer_keeps_changes_deletions_and_owners(engine: NamespaceEngine) -> None:
    source = await engine.create(SandboxSpec("source"))
    await run(
        source,
        "mkdir -p ~/app/deep; echo one > ~/app/file; echo gone > ~/gone; rm ~/.bashrc; chmod 640 ~/app/file",
    )
    await source.snapshot("first")
    await run(source, "echo two > ~/app/file")  # It runs on, and the layer does not change.
    made = await engine.create(SandboxSpec("copy", layers=("first", BASE_LAYER)))
    assert (await run(made, "cat ~/app/file; stat -c '%a %U' ~/app/file; ls -A ~")).output.split() == [
        "one", "640", "user", ".bash_logout", ".profile", "app", "gone",
    ]  # fmt: skip
    await run(made, "rm ~/gone; mv ~/app ~/renamed; echo three > ~/renamed/file")
    await made.snapshot("second")
    third = await engine.create(SandboxSpec("third", layers=("second", "first", BASE_LAYER)))
    assert (await run(third, "cat ~/renamed/file; ls ~; ls -d ~/renamed/deep")).output.split() == [
        "three", "renamed", "/home/user/renamed/deep",
    ]  # fmt: skip
    for each in (source, made, third):
        await each.kill()
    assert {"first", "second", BASE_LAYER} <= engine.layers()
    await engine.delete_layer("second")
    await engine.delete_layer("first")
    assert engine.layers() == {BASE_LAYER}


async def test_a_deleted_layer_serves_the_sandboxes_that_run_on_it(engine: NamespaceEngine) -> None:
    source = await engine.create(SandboxSpec("source"))
    await run(source, "echo kept > ~/file")
    await source.snapshot("used")
    await source.kill()
    made = await engine.create(SandboxSpec("user", layers=("used", BASE_LAYER)))
    await engine.delete_layer("used")
    assert "used" not in engine.layers()
    assert (await run(made, "cat ~/file")).output == "kept\n"
    await made.kill()
    with pytest.raises(EngineError, match="no layer 'used'"):
        await engine.create(SandboxSpec("late", layers=("used", BASE_LAYER)))


async def test_sandboxes_of_a_layer_that_is_often_asked_for_are_fresh_and_do_not_keep_it(
    engine: NamespaceEngine,
) -> None:
    source = await engine.create(SandboxSpec("source"))
    await run(source, "echo kept > ~/file")
    await source.snapshot("popular")
    await source.kill()
    for number in range(4):
        made = await engine.create(SandboxSpec(str(number), layers=("popular", BASE_LAYER)))
        assert (await run(made, "cat ~/file; rm ~/file; ls ~")).output == "kept\n"
        await made.kill()
        await engine.pool_filled()  # By now, jails of the pool stand on the layer.
    await engine.delete_layer("popular")
    assert not list(folders_of("popular"))
    with pytest.raises(EngineError, match="no layer 'popular'"):
        await engine.create(SandboxSpec("late", layers=("popular", BASE_LAYER)))
    other = await engine.create(SandboxSpec("other"))
    assert (await run(other, "ls ~")).output == ""
    await other.kill()


async def test_a_layer_name_that_leads_elsewhere_is_refused(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("source"))
    for name in ("../escape", "a/b", "", ".hidden"):
        with pytest.raises(EngineError, match="layer id"):
            await sandbox.snapshot(name)
    await sandbox.kill()


async def test_a_dead_zygote_is_replaced(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("orphan"))
    # A jail that was forked this moment is still called like its zygote; only the zygote is our child.
    children = {each.pid for each in psutil.Process().children()}
    (zygote,) = children.intersection(zygotes(Names(INSTANCE)))
    os.kill(zygote, signal.SIGKILL)
    assert await sandbox.wait() == "exited"
    # Prepared jails died with it, some half made: the engine takes others, and nobody hears of it.
    again = await engine.create(SandboxSpec("again"))
    assert (await run(again, "echo here")).output == "here\n"
    await again.kill()


async def test_layers_outlive_the_engine(tmp_path: Path) -> None:
    chosen = settings(tmp_path, pool_size=0)
    chosen = type(chosen)(**{**chosen.__dict__, "instance": OTHER})
    async with running(chosen) as engine:
        sandbox = await engine.create(SandboxSpec("source"))
        await run(sandbox, "echo kept > ~/file")
        await sandbox.snapshot("lasting")
    async with running(chosen) as engine:
        assert engine.layers() == {"lasting", BASE_LAYER}
        sandbox = await engine.create(SandboxSpec("later", layers=("lasting", BASE_LAYER)))
        assert (await run(sandbox, "cat ~/file")).output == "kept\n"


async def test_two_engines_of_one_name_exclude_each_other(engine: NamespaceEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="runs already"):
        await NamespaceEngine(settings(tmp_path)).start()
    sandbox = await engine.create(SandboxSpec("unharmed"))
    assert (await run(sandbox, "echo well")).output == "well\n"
    await sandbox.kill()


async def test_a_killed_server_takes_its_sandboxes_along_and_its_next_start_removes_the_rest(
    engine: NamespaceEngine, tmp_path: Path
) -> None:
    before = forwarding()
    bystander = await engine.create(SandboxSpec("bystander"))
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(tmp_path), OTHER, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout
    assert await server.stdout.readline() == b"running\n"
    server.kill()
    await server.wait()
    assert await eventually(lambda: not take_inventory(OTHER).processes)
    left = take_inventory(OTHER)
    assert left.cgroups > 0
    assert left.nft_tables == 1
    chosen = settings(tmp_path, pool_size=0)
    async with running(type(chosen)(**{**chosen.__dict__, "instance": OTHER})) as again:
        sandbox = await again.create(SandboxSpec("next"))
        assert (await run(sandbox, "ls ~")).output == ""
    assert take_inventory(OTHER) == nothing()
    assert forwarding() == before
    assert (await run(bystander, "echo unharmed")).output == "unharmed\n"
    await bystander.kill()


async def test_what_a_killed_server_left_can_be_removed_without_a_start(tmp_path: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(tmp_path), OTHER, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout
    assert await server.stdout.readline() == b"running\n"
    server.kill()
    await server.wait()
    await remove_leftovers(Names(OTHER), for_good=True)
    assert take_inventory(OTHER) == nothing()
    assert not Names(OTHER).run.exists()
    assert instances.slice_of(OTHER) is None


@pytest.mark.parametrize("moment", ["while it starts", "as soon as it serves"])
async def test_a_server_that_is_told_to_stop_leaves_nothing(moment: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("e2b_0123456789abcdef")
    options = ["--instance", OTHER, "--state-dir", str(tmp_path), "--api-key-file", str(tmp_path / "key")]
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.sandboxes", *options, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout
    if moment == "while it starts":
        assert await eventually((Names(OTHER).run / "lock").exists)
    else:
        assert b'"url"' in await server.stdout.readline()
    server.terminate()
    await server.communicate()
    assert server.returncode == 0
    assert take_inventory(OTHER) == nothing()
    assert not Names(OTHER).run.exists()
    assert instances.slice_of(OTHER) is None


def folders_of(name: str) -> Iterator[Path]:
    """The folders of a layer that is still on the disk."""
    return Names(INSTANCE).disk.glob(f"layers/{name}")


def forwarding() -> str:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text()
