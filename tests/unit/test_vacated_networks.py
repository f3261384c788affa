"""Networks of the dead are held for a moment, never many, and all are let go."""

import asyncio
import os
from pathlib import Path

from local.sandboxes.namespaces.vacated import VacatedNetworks
from tests.sandbox_engine import eventually


def held() -> int:
    """How many network namespaces this process holds."""
    links = filter(Path.is_symlink, Path("/proc/self/fd").iterdir())
    return sum(str(link.readlink()).startswith("net:") for link in links)


async def test_what_is_held_goes_by_itself() -> None:
    networks = VacatedNetworks()
    networks.hold(os.getpid())
    networks.hold(os.getpid())
    assert held() == 2
    assert await eventually(lambda: not held())


async def test_few_are_held_at_a_time() -> None:
    networks = VacatedNetworks()
    for _ in range(100):
        networks.hold(os.getpid())
        assert held() <= 16
    networks.release()
    assert held() == 0


async def test_a_process_that_has_ended_is_no_error() -> None:
    child = await asyncio.create_subprocess_exec("true")
    await child.wait()
    networks = VacatedNetworks()
    networks.hold(child.pid)
    assert held() == 0
