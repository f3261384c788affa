"""Root of a sandbox against the sandbox's own daemon: it can hang it, and harms nobody else by that."""

import shlex
from collections.abc import Iterator

import pytest
from e2b import CommandExitException, Sandbox, TimeoutException

from tests.attack.arena import Arena
from tests.attack.marks import ATTACKS

pytestmark = ATTACKS

ALL_SIGNALS = """
import os, signal, sys
process = int(sys.argv[1])
for number in range(1, signal.NSIG):
    os.kill(process, number)
"""

WAYS_TO_HANG = {
    "accounts that nobody writes": "rm /etc/passwd; mkfifo /etc/passwd",
    "an empty device that nobody writes": "rm /dev/null; mkfifo /dev/null",
}


@pytest.fixture
def sandbox(arena: Arena) -> Iterator[Sandbox]:
    """A sandbox with root, in the world's host."""
    with arena.world.host.entered():
        made = arena.server.create("root")
        yield made
        made.kill()


def test_every_signal_of_root_s_passes_its_daemon_by(sandbox: Sandbox) -> None:
    send = f"python3 -c {shlex.quote(ALL_SIGNALS)}"
    with pytest.raises(CommandExitException):
        sandbox.commands.run(f"sleep 600 & {send} $!; wait $!", user="root")
    sandbox.commands.run(f"{send} 1", user="root")
    assert sandbox.commands.run("echo alive").stdout == "alive\n"


@pytest.mark.parametrize("way", WAYS_TO_HANG)
def test_a_daemon_that_its_root_hangs_is_killed_like_any_other(
    way: str, arena: Arena, sandbox: Sandbox
) -> None:
    sandbox.commands.run(WAYS_TO_HANG[way], user="root")
    with pytest.raises(TimeoutException):
        sandbox.commands.run("true", timeout=2, request_timeout=2)
    assert not arena.look_around("holding")
    assert sandbox.get_info().state.value == "running"
    assert sandbox.kill()
    assert not sandbox.is_running()
