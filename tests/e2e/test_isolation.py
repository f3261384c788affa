"""What a process of an agent may do in a sandbox: nothing but its own work, seen from inside."""

import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from local.sandboxes.engine import EngineSandbox, SandboxSpec
from local.sandboxes.namespaces.engine import NamespaceEngine
from tests.sandbox_engine import run, run_python, running, settings

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.asyncio(loop_scope="module"),
]

# Runs inside a sandbox only: where all ids are mapped it would be the host.
SYSTEM_CALLS = """
import ctypes, errno, json, os, socket, sys
if open("/proc/self/uid_map").read().split() == ["0", "0", "4294967295"]:
    sys.exit("this is no sandbox")
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments])
    return "allowed" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def open_socket(*kind):
    try:
        socket.socket(*kind).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"
path = ctypes.cast(ctypes.create_string_buffer(b"/tmp"), ctypes.c_void_p).value
word = ctypes.cast(ctypes.create_string_buffer(4096), ctypes.c_void_p).value
user_namespace, network_namespace, sigchld = 0x10000000, 0x40000000, 17
print(json.dumps({
    "mount": call(165, path, path, path, 0, 0),
    "umount2": call(166, path, 0),
    "pivot_root": call(155, path, path),
    "chroot": call(161, path),
    "unshare": call(272, user_namespace),
    "unshare network": call(272, network_namespace),
    "clone into a user namespace": call(56, user_namespace | sigchld, 0, 0, 0, 0),
    "clone with high bits": call(56, 1 << 40 | user_namespace | sigchld, 0, 0, 0, 0),
    "clone3": call(435, word, 88),
    "setns": call(308, 0, 0),
    "ptrace": call(101, 16, 1, 0, 0),
    "process_vm_readv": call(310, 1, word, 1, word, 1, 0),
    "bpf": call(321, 0, word, 48),
    "userfaultfd": call(323, 0),
    "io_uring_setup": call(425, 8, word),
    "keyctl": call(250, 0, -3, 0),
    "add_key": call(248, path, path, path, 1, -3),
    "perf_event_open": call(298, word, 0, -1, -1, 0),
    "open_by_handle_at": call(304, 0, word, 0),
    "init_module": call(175, word, 0, path),
    "kexec_load": call(246, 0, 0, 0, 0),
    "reboot": call(169, 0, 0, 0, 0),
    "sethostname": call(170, path, 1),
    "syslog": call(103, 3, word, 10),
    "fsopen": call(430, path, 0),
    "personality": call(135, 0x0040000),
    "paste into a terminal": call(16, 0, 0x5412, path),
    "paste into a terminal, high bits": call(16, 0, 1 << 32 | 0x5412, path),
    "packet socket": open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "raw socket": open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "algorithm socket": open_socket(38, socket.SOCK_SEQPACKET),
    "vsock": open_socket(40, socket.SOCK_STREAM),
    "netfilter socket": open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 12),
}))
"""
REFUSALS = {"EPERM", "ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NamespaceEngine]:
    async with running(settings(tmp_path_factory.mktemp("state"))) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(engine: NamespaceEngine) -> AsyncIterator[EngineSandbox]:
    made = await engine.create(SandboxSpec("one"))
    yield made
    await made.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(engine: NamespaceEngine) -> AsyncIterator[EngineSandbox]:
    made = await engine.create(SandboxSpec("two"))
    yield made
    await made.kill()


async def test_an_agent_has_no_capability_and_can_gain_none(sandbox: EngineSandbox) -> None:
    status = dict(
        line.split(":", 1) for line in (await run(sandbox, "cat /proc/self/status")).output.splitlines()
    )
    sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(sets.values()) == {0}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Groups"].split() in ([], ["1000"])


async def test_a_set_uid_program_gives_no_privilege(sandbox: EngineSandbox) -> None:
    assert (await run(sandbox, "su -c id")).exit_code != 0
    assert (await run(sandbox, "umount /proc")).exit_code != 0


async def test_root_of_a_sandbox_is_nobody_on_the_host(sandbox: EngineSandbox) -> None:
    inside, outside, count = map(int, (await run(sandbox, "cat /proc/self/uid_map")).output.split())
    assert (inside, count) == (0, 65_536)
    assert outside >= 2_000_000_000


async def test_system_calls_against_the_kernel_are_refused(sandbox: EngineSandbox) -> None:
    ended = await run_python(sandbox, SYSTEM_CALLS)
    answers = json.loads(ended.output)
    assert len(answers) >= 30
    assert {name: answer for name, answer in answers.items() if answer not in REFUSALS} == {}


async def test_threads_and_processes_still_start(sandbox: EngineSandbox) -> None:
    code = (
        "import threading, subprocess, multiprocessing.dummy as d; "
        "print(sum(d.Pool(4).map(int, '1234')), subprocess.check_output(['echo', 'child']))"
    )
    assert (await run_python(sandbox, code)).output.strip() == "10 b'child\\n'"


async def test_the_tools_of_the_definition_work(sandbox: EngineSandbox) -> None:
    tools = "node --version && npm --version && git --version && esbuild --version && tsx --version"
    ended = await run(sandbox, f"{tools} && curl --version && wget --version && python3 --version")
    assert ended.exit_code == 0, ended.output
    assert ended.output.startswith("v20.")


async def test_the_runner_and_the_builder_are_compiled_for_the_python_inside(sandbox: EngineSandbox) -> None:
    code = "import sys; sys.path.insert(0, '/opt/castari'); import runner.main, runner.report, builder.main"
    told = await run(sandbox, f'python3 -v -I -S -c "{code}"')
    loaded = re.findall(r"code object from '(/opt/castari/[^']*)'", told.output)
    assert "/opt/castari/runner/__pycache__/main.cpython-311.pyc" in loaded
    assert all("__pycache__" in each for each in loaded)


async def test_files_of_the_host_are_absent(sandbox: EngineSandbox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    secret = tmp_path / "secret"
    ended = await run(
        sandbox, f"cat {secret}; cat /proc/1/root{secret}; ls {Path(__file__).parent} /run/castari*"
    )
    assert "of the host" not in ended.output
    assert ended.exit_code != 0
    assert str(tmp_path) not in (await run(sandbox, "cat /proc/self/mountinfo")).output


async def test_files_of_the_host_kernel_are_hidden(sandbox: EngineSandbox) -> None:
    hidden = "kcore keys kallsyms cmdline sysrq-trigger kmsg timer_list"
    assert (await run(sandbox, f"cd /proc; cat {hidden} 2>/dev/null | head -c 100")).output == ""
    assert (await run(sandbox, "echo 1 > /proc/sys/kernel/core_pattern")).exit_code != 0
    assert (await run(sandbox, "cat /sys/kernel/* /dev/kmsg /dev/mem /dev/vda")).output.count(
        "No such file"
    ) >= 4


async def test_the_daemon_can_not_be_looked_into_or_stopped(sandbox: EngineSandbox) -> None:
    assert (
        await run(sandbox, "cat /proc/1/environ || cat /proc/1/maps || ls /proc/1/fd /proc/1/root")
    ).exit_code
    assert (await run(sandbox, "cat /proc/1/task/*/mem /proc/1/task/*/environ")).exit_code != 0
    await run(sandbox, "for tid in $(ls /proc/1/task); do kill -9 $tid; kill -INT $tid; done")
    assert (await run(sandbox, "echo alive")).output == "alive\n"


async def test_processes_of_others_are_invisible(sandbox: EngineSandbox, neighbour: EngineSandbox) -> None:
    await run(neighbour, "sleep 987 > /dev/null 2>&1 &")
    listed = (await run(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).output
    assert "987" not in listed
    assert str(os.getpid()) not in (await run(sandbox, "ls /proc")).output.split()


async def test_files_of_others_are_invisible(sandbox: EngineSandbox, neighbour: EngineSandbox) -> None:
    await run(neighbour, "echo theirs > /tmp/mine; echo theirs > /dev/shm/mine; echo theirs > ~/mine")
    ended = await run(sandbox, "cat /tmp/mine /dev/shm/mine ~/mine")
    assert "theirs" not in ended.output


async def test_shared_memory_of_others_is_invisible(sandbox: EngineSandbox, neighbour: EngineSandbox) -> None:
    make = "import ctypes; print(ctypes.CDLL(None).shmget(4711, 4096, 0o1666))"
    find = "import ctypes; print(ctypes.CDLL(None).shmget(4711, 4096, 0))"
    assert int((await run_python(neighbour, make)).output) >= 0
    assert int((await run_python(sandbox, find)).output) == -1


async def test_a_sandbox_with_sudo_has_eight_capabilities_and_still_can_not_mount(
    engine: NamespaceEngine,
) -> None:
    made = await engine.create(SandboxSpec("root", privileges="sudo"))
    bounds = (await run(made, "grep -E 'CapBnd|Seccomp:' /proc/self/status")).output.split()
    assert int(bounds[1], 16).bit_count() == 8
    assert bounds[3] == "2"
    answers = json.loads((await run_python(made, SYSTEM_CALLS)).output)
    assert {name: answer for name, answer in answers.items() if answer not in REFUSALS} == {}
    await made.kill()


async def test_the_daemon_s_command_line_tells_nothing_of_the_host(sandbox: EngineSandbox) -> None:
    assert (await run(sandbox, "tr -d '\\0' < /proc/1/cmdline; cat /proc/1/comm")).output == "envdenvd\n"
