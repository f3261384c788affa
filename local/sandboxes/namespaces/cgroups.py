"""Control groups: one per sandbox, all of an instance's below a light parent."""

from functools import cache
from pathlib import Path
from typing import Protocol

from local.sandboxes.engine import EngineError, Limits
from local.sandboxes.namespaces import cgroup_v1, cgroup_v2


class Cgroup(Protocol):
    """The control group of one sandbox, or of a whole instance."""

    def create_parent(self) -> None:
        """Create it as the parent of sandboxes, which together weigh less than the server."""

    def create(self) -> None:
        """Create it, without limits."""

    def limit(self, limits: Limits) -> None:
        """Set what its processes may use together. Swap is never allowed on top of memory."""

    def join(self) -> None:
        """Move the calling process into it."""

    def set_frozen(self, frozen: bool) -> None:
        """Stop or continue all its processes; returns once all have stopped."""

    def memory_bytes(self) -> int:
        """Return the memory in use, without the file cache that can be dropped."""

    def cache_bytes(self) -> int:
        """Return the file cache that can be dropped."""

    def cpu_ns(self) -> int:
        """Return the CPU time used so far."""

    def processes(self) -> int:
        """Return the number of tasks."""

    def out_of_memory_kills(self) -> int:
        """Return how often the kernel killed a process for the memory limit."""

    def members(self) -> list[int]:
        """Return the ids of its processes, those of groups below included."""

    def thaw_all(self) -> None:
        """Continue all processes in it and below, so that they can die."""

    def count(self) -> int:
        """Return the number of groups that it and those below are, in all hierarchies."""

    def remove(self) -> None:
        """Remove it and all below; no process may be left in it. Safe to call again."""

    def bind_mounts(self) -> list[tuple[str, str, str]]:
        """Return what shows a sandbox its own group: type, options, and path in /sys/fs/cgroup."""


def find_cgroup(name: str, mounts: Path = Path("/proc/self/mounts")) -> Cgroup:
    """Return the group `name` (one or two path components) of this host, whether it exists or not.

    Hosts have version 1, version 2, or both, of which one has the controllers. Raises `EngineError` if
    the host lacks a controller that limits need.
    """
    v1, v2 = _mounted_hierarchies(mounts)
    if all(controller in v1 for controller in cgroup_v1.CONTROLLERS):
        return cgroup_v1.CgroupV1({controller: v1[controller] / name for controller in cgroup_v1.CONTROLLERS})
    if v2 and set(cgroup_v2.CONTROLLERS) <= set((v2 / "cgroup.controllers").read_text().split()):
        return cgroup_v2.CgroupV2(v2 / name)
    raise EngineError(
        f"this host offers neither the cgroup v2 controllers {', '.join(cgroup_v2.CONTROLLERS)} "
        f"nor the v1 controllers {', '.join(cgroup_v1.CONTROLLERS)}: boot it with v2"
    )


@cache  # Read once: no host moves them, and each sandbox asks.
def _mounted_hierarchies(mounts: Path) -> tuple[dict[str, Path], Path | None]:
    v1: dict[str, Path] = {}
    v2 = None
    for line in mounts.read_text().splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup":
            v1 |= dict.fromkeys(options.split(","), Path(target))
        elif kind == "cgroup2":
            v2 = Path(target)
    return v1, v2
