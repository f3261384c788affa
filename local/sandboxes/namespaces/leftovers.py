"""Removes what an instance left on the host, found by its name: after a crash, and at the end."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces import instances
from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.namespaces.disk import close_disk
from local.sandboxes.namespaces.inventory import zygotes
from local.sandboxes.namespaces.network import remove_network
from local.sandboxes.namespaces.settings import Names

_DEATH_SECONDS = 10.0


@contextmanager
def claim_instance(names: Names) -> Iterator[None]:
    """Hold an instance's name. Raises `EngineError` while another process holds it."""
    names.run.mkdir(mode=0o711, exist_ok=True)
    lock = os.open(names.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EngineError(
                f"instance {names.instance!r} runs already: stop it, or choose another name"
            ) from error
        yield
    finally:
        os.close(lock)


async def remove_leftovers(names: Names, *, for_good: bool = False) -> None:
    """Remove an instance's processes, groups, links, rules, mounts and sockets. Its layers stay on disk.

    `for_good` gives back its addresses and the host's forwarding switch too. Safe to call again.
    """
    await asyncio.to_thread(_kill_all, names)
    await remove_network(names)
    close_disk(names.disk)
    if for_good:
        instances.leave(names.instance)
        shutil.rmtree(names.run, ignore_errors=True)
    else:
        for path in names.run.glob("*.sock"):
            path.unlink()


def _kill_all(names: Names) -> None:
    cgroup = find_cgroup(names.cgroup)
    deadline = time.monotonic() + _DEATH_SECONDS
    while members := [*zygotes(names), *cgroup.members()]:
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cgroup.thaw_all()
        if time.monotonic() > deadline:
            raise EngineError(
                f"processes {members} of instance {names.instance!r} do not die: restart the host"
            )
        time.sleep(0.01)
    cgroup.remove()
