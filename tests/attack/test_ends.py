"""What must hold however hostile a sandbox's processes are: they end with it, and nobody connects to them."""

import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from local.sandboxes.namespaces.firewall import MAX_FLOWS
from tests.attack.arena import Arena, address_of
from tests.attack.marks import ATTACKS
from tests.attack.namespace import NetworkNamespace
from tests.attack.stand_in import BANNER
from tests.attack.world import SERVICE_PORT

pytestmark = ATTACKS

CLINGING = """
import os, signal, sys, time
for number in set(range(1, signal.NSIG)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for _ in range(3):
    if os.fork():
        continue
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(1, b"clinging\\n")
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
"""Ignores every signal that can be, leaves its session and its parent, and stops.

It speaks in one write: `print` makes two, and those of three processes mingle.
"""


FLOOD = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
    for port in range(10_000, 10_000 + {count}):
        try:
            speaker.sendto(b"x", ("{host}", port))
        except OSError:
            pass
"""
"""Speaks to many ports, each of which is a connection to the firewall."""


def cling(marker: str) -> list[str]:
    """The command that starts four such processes; `marker` tells them from all others on the host."""
    return ["python3", "-c", CLINGING, marker]


def marked(marker: str) -> list[int]:
    """The host's ids of living processes that have `marker` on their command line."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if marker.encode() in _command_line(path)
    ]


def _command_line(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""


def test_processes_that_can_hardly_be_ended_outlive_one_who_only_asks_them_to() -> None:
    marker = secrets.token_hex(8)
    with subprocess.Popen([sys.executable, *cling(marker)[1:]], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["clinging\n"] * 3
        process.terminate()
        try:
            assert len(marked(marker)) >= 4
        finally:
            for pid in marked(marker):
                os.kill(pid, signal.SIGKILL)


def test_processes_that_can_hardly_be_ended_end_with_their_sandbox(arena: Arena) -> None:
    marker = secrets.token_hex(8)
    with arena.world.host.entered():
        sandbox = arena.server.create()
        try:
            handle = sandbox.commands.run(shlex.join(cling(marker)), background=True, timeout=0)
            printed = ""
            for chunk, _, _ in handle:
                printed += chunk or ""
                if printed.count("clinging") == 3:
                    break
            handle.disconnect()
            assert len(marked(marker)) >= 4
        finally:
            sandbox.kill()
    assert eventually(lambda: not marked(marker)), "processes outlived their sandbox"


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something becomes true within the time that the kernel takes to bury processes."""
    end = time.monotonic() + 10
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


@pytest.mark.parametrize("place", ["host", "outside"])
def test_nobody_connects_to_a_service_in_a_sandbox(arena: Arena, place: str) -> None:
    with arena.world.host.entered():
        address = address_of(arena.neighbour)
        own = arena.neighbour.commands.run(f"python3 -c {shlex.quote(_greeting(address))}").stdout
    assert own.strip() == repr(BANNER), "the service does not serve, so that nobody reaches it says nothing"
    source: NetworkNamespace = getattr(arena.world, place)
    command = [*source.enter_command, sys.executable, "-c", _greeting(address)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode
    refusal = told.stderr.splitlines()[-1].partition(":")[0]
    assert refusal in ("TimeoutError", "OSError", "PermissionError", "ConnectionRefusedError")


def test_one_sandbox_does_not_fill_the_table_of_connections_that_all_share(arena: Arena) -> None:
    flood = FLOOD.format(host=arena.world.places()["internet"][0][0], count=2 * MAX_FLOWS)
    with arena.world.host.entered():
        before = _flows()
        # One of its own: what it opened is counted for it for a while.
        sandbox = arena.server.create()
        try:
            sandbox.commands.run(f"python3 -c {shlex.quote(flood)}")
            assert MAX_FLOWS // 2 < _flows() - before <= MAX_FLOWS + 100
            assert not arena.look_around("holding")
        finally:
            sandbox.kill()


def test_without_a_firewall_a_flood_of_connections_fills_the_table(arena: Arena) -> None:
    with arena.world.host.entered():
        before, host = _flows(), arena.world.places()["internet"][0][0]
        exec(FLOOD.format(host=host, count=2 * MAX_FLOWS))  # noqa: S102 - the same flood, from the world's host
        assert _flows() - before > MAX_FLOWS + 100


def _flows() -> int:
    return int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())


def _greeting(address: str) -> str:
    return f"import socket; print(socket.create_connection(('{address}', {SERVICE_PORT}), 1).recv(64))"
