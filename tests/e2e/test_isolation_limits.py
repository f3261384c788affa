"""The limits of a sandbox hold, are told apart, and harm nobody else."""

import contextlib
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.sandboxes.engine import EngineError, Limits, SandboxSpec
from local.sandboxes.namespaces.cgroup_v1 import CgroupV1
from local.sandboxes.namespaces.cgroup_v2 import CgroupV2
from local.sandboxes.namespaces.cgroups import Cgroup, find_cgroup
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.settings import Names
from tests.sandbox_engine import INSTANCE, eventually, run, run_python, running, settings

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.asyncio(loop_scope="module"),
]

ALLOCATE = "import sys; kept = [bytearray(b'x' * 2**20) for _ in range(int(sys.argv[1]))]; print('had it')"
FORK = """
import os, time
count = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(100)
    except OSError as error:
        print(error.strerror, count, flush=True)
        break
    count += 1
os.kill(0, 9)
"""
FILL = """
import os
with open("/home/user/big", "wb") as file:
    try:
        for _ in range(200):
            file.write(os.urandom(2**20))
            file.flush()
    except OSError as error:
        print(error.strerror, os.path.getsize("/home/user/big") >> 20)
"""
OOM_COUNTER = (
    "cd /sys/fs/cgroup && cat memory/memory.oom_control memory.events 2> /dev/null | grep '^oom_kill '"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NamespaceEngine]:
    async with running(settings(tmp_path_factory.mktemp("state"))) as started:
        yield started


async def test_memory_beyond_the_default_2_gb_is_refused_by_killing_the_agent_only(
    engine: NamespaceEngine,
) -> None:
    sandbox, neighbour = (
        await engine.create(SandboxSpec("big")),
        await engine.create(SandboxSpec("neighbour")),
    )
    ended = await run_python(sandbox, ALLOCATE, "3000")
    assert "had it" not in ended.output
    assert ended.exit_code != 0
    assert (await run(sandbox, OOM_COUNTER)).output.strip() == "oom_kill 1"
    assert (await run(neighbour, OOM_COUNTER)).output.strip() == "oom_kill 0"
    assert (await run_python(neighbour, ALLOCATE, "100")).output == "had it\n"
    await sandbox.kill()
    await neighbour.kill()


async def test_a_sandbox_whose_daemon_is_killed_for_memory_says_so(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("tiny", limits=Limits(memory_mb=64)))
    # Files in memory belong to no process, so that killing the agent frees nothing.
    with contextlib.suppress(ConnectionError):
        await run(sandbox, "head -c 200M /dev/zero > /dev/shm/full")
    assert await sandbox.wait() == "out_of_memory"


async def test_a_javascript_heap_ends_below_the_limit(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("heap"))
    limit = await run(sandbox, "node -p 'v8.getHeapStatistics().heap_size_limit >> 20'")
    assert int(limit.output) < 2048
    # A smaller heap than by default ends sooner.
    endless = "const kept = []; while (true) kept.push(new Array(1e5).fill({}))"
    ended = await run(sandbox, f"node --max-old-space-size=64 -e '{endless}'")
    assert "heap out of memory" in ended.output
    assert (await run(sandbox, OOM_COUNTER)).output.strip() == "oom_kill 0"
    await sandbox.kill()


async def test_a_fork_bomb_is_bounded(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("forks", limits=Limits(pids=100)))
    neighbour = await engine.create(SandboxSpec("neighbour"))
    reason, _, count = (await run_python(sandbox, FORK)).output.strip().rpartition(" ")
    assert reason == "Resource temporarily unavailable"
    assert int(count) < 100
    assert (await run(neighbour, "echo well")).output == "well\n"
    await sandbox.kill()
    await neighbour.kill()


async def test_the_disk_ends_at_its_limit(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("full", limits=Limits(disk_mb=64)))
    reason, _, megabytes = (await run_python(sandbox, FILL)).output.strip().rpartition(" ")
    assert reason in {"Disk quota exceeded", "No space left on device"}
    assert 50 <= int(megabytes) <= 64
    assert (await sandbox.usage()).disk_bytes <= 64 * 2**20
    assert (await run(sandbox, "rm ~/big && echo again > ~/small && cat ~/small")).output == "again\n"
    await sandbox.kill()


async def test_temporary_file_systems_count_as_memory(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("shm"))
    assert (await run(sandbox, "head -c 100M /dev/zero > /dev/shm/file; echo kept")).output == "kept\n"
    assert (await sandbox.usage()).memory_bytes > 100 * 2**20
    await sandbox.kill()


async def test_open_files_end_at_their_limit(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("files", limits=Limits(open_files=256)))
    ended = await run_python(sandbox, "import os\nwhile True: os.open('/dev/null', 0)")
    assert "Too many open files" in ended.output
    assert (await run(sandbox, "ulimit -n; ulimit -c")).output.split() == ["256", "0"]
    await sandbox.kill()


async def test_cores_beyond_the_limit_are_not_to_be_had(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("busy", limits=Limits(cpu_count=1)))
    assert int(cpu_files(sandbox.cell.cgroup, "cpu.stat")["nr_throttled"]) == 0
    await run(sandbox, "for _ in 1 2 3; do while :; do :; done > /dev/null 2>&1 & done")
    assert await eventually(lambda: int(cpu_files(sandbox.cell.cgroup, "cpu.stat")["nr_throttled"]) > 0)
    await sandbox.kill()


async def test_all_sandboxes_together_weigh_less_than_the_server(engine: NamespaceEngine) -> None:
    assert engine
    parent = find_cgroup(Names(INSTANCE).cgroup)
    if isinstance(parent, CgroupV1):
        assert int((parent.directories["cpu"] / "cpu.shares").read_text()) < 1024
    else:
        assert isinstance(parent, CgroupV2)
        assert int((parent.directory / "cpu.weight").read_text()) < 100
    assert os.getpid() not in parent.members()


def cpu_files(cgroup: Cgroup, name: str) -> dict[str, str]:
    """A table that the kernel keeps of a group's CPU time."""
    assert isinstance(cgroup, CgroupV1 | CgroupV2)
    directory = cgroup.directories["cpu"] if isinstance(cgroup, CgroupV1) else cgroup.directory
    return dict(line.split() for line in (directory / name).read_text().splitlines())


async def test_usage_tells_what_a_sandbox_uses(engine: NamespaceEngine) -> None:
    sandbox = await engine.create(SandboxSpec("busy"))
    before = await sandbox.usage()
    await run(sandbox, "head -c 20M /dev/urandom > ~/file; sync; sleep 60 > /dev/null 2>&1 &")
    after = await sandbox.usage()
    assert after.cpu_ns > before.cpu_ns
    assert after.disk_bytes - before.disk_bytes >= 20 * 2**20
    assert after.processes > before.processes
    assert 0 < after.memory_bytes < 500 * 2**20
    await sandbox.kill()
    with pytest.raises(EngineError, match="has ended"):
        await sandbox.usage()
