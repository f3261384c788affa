"""Control groups, version 1 and 2: one per sandbox, all of an instance's below a light parent."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.sandboxes.engine import EngineError, Limits

_MIB = 1024 * 1024
_CPU_PERIOD_US = 100_000
_FREEZE_SECONDS = 5.0
_PARENT_WEIGHT_V1 = 512  # Of all sandboxes together; each process of the host outside of groups has 1024.
_PARENT_WEIGHT_V2 = 50  # Against 100 for each sibling.
_V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")
_V2_CONTROLLERS = ("memory", "cpu", "pids")


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
        """Return what shows a sandbox its own group: file system type, options, and path in /sys/fs/cgroup."""


@dataclass(frozen=True)
class CgroupV1:
    """A group in each version 1 hierarchy; some hierarchies hold several controllers."""

    directories: dict[str, Path]

    def create_parent(self) -> None:  # noqa: D102
        self.create()
        _write(self.directories["cpu"] / "cpu.shares", _PARENT_WEIGHT_V1)

    def create(self) -> None:  # noqa: D102
        for directory in self._unique():
            directory.mkdir(exist_ok=True)

    def limit(self, limits: Limits) -> None:  # noqa: D102
        memory = self.directories["memory"]
        with_swap = memory / "memory.memsw.limit_in_bytes"
        if with_swap.exists():
            _write(with_swap, -1)  # It may never be below the limit without swap.
        _write(memory / "memory.limit_in_bytes", limits.memory_mb * _MIB)
        if with_swap.exists():
            _write(with_swap, limits.memory_mb * _MIB)
        _write(self.directories["cpu"] / "cpu.cfs_period_us", _CPU_PERIOD_US)
        _write(self.directories["cpu"] / "cpu.cfs_quota_us", limits.cpu_count * _CPU_PERIOD_US)
        _write(self.directories["pids"] / "pids.max", limits.pids)

    def join(self) -> None:  # noqa: D102
        for directory in self._unique():
            _write(directory / "cgroup.procs", 0)

    def set_frozen(self, frozen: bool) -> None:  # noqa: D102
        state = self.directories["freezer"] / "freezer.state"
        wanted = "FROZEN" if frozen else "THAWED"
        _write(state, wanted)
        _wait_until_frozen(lambda: state.read_text().strip() == wanted)

    def memory_bytes(self) -> int:  # noqa: D102
        memory = self.directories["memory"]
        used = int((memory / "memory.usage_in_bytes").read_text())
        return max(0, used - _table(memory / "memory.stat")["total_inactive_file"])

    def cpu_ns(self) -> int:  # noqa: D102
        return int((self.directories["cpuacct"] / "cpuacct.usage").read_text())

    def processes(self) -> int:  # noqa: D102
        return int((self.directories["pids"] / "pids.current").read_text())

    def out_of_memory_kills(self) -> int:  # noqa: D102
        # Not failcnt: that counts every successful reclaim too.
        return _table(self.directories["memory"] / "memory.oom_control")["oom_kill"]

    def members(self) -> list[int]:  # noqa: D102
        return _members(self.directories["pids"])

    def thaw_all(self) -> None:  # noqa: D102
        for state in self.directories["freezer"].rglob("freezer.state"):
            _write(state, "THAWED")

    def count(self) -> int:  # noqa: D102
        return sum(map(_count, self._unique()))

    def remove(self) -> None:  # noqa: D102
        for directory in self._unique():
            _remove(directory)

    def bind_mounts(self) -> list[tuple[str, str, str]]:  # noqa: D102
        return [("cgroup", "memory", "memory")]

    def _unique(self) -> list[Path]:
        return list(dict.fromkeys(self.directories.values()))


@dataclass(frozen=True)
class CgroupV2:
    """A group in the unified hierarchy."""

    directory: Path

    def create_parent(self) -> None:  # noqa: D102
        _write(self.directory.parent / "cgroup.subtree_control", " ".join(f"+{c}" for c in _V2_CONTROLLERS))
        self.create()
        _write(self.directory / "cgroup.subtree_control", " ".join(f"+{c}" for c in _V2_CONTROLLERS))
        _write(self.directory / "cpu.weight", _PARENT_WEIGHT_V2)

    def create(self) -> None:  # noqa: D102
        self.directory.mkdir(exist_ok=True)

    def limit(self, limits: Limits) -> None:  # noqa: D102
        _write(self.directory / "memory.max", limits.memory_mb * _MIB)
        if (self.directory / "memory.swap.max").exists():
            _write(self.directory / "memory.swap.max", 0)
        _write(self.directory / "cpu.max", f"{limits.cpu_count * _CPU_PERIOD_US} {_CPU_PERIOD_US}")
        _write(self.directory / "pids.max", limits.pids)

    def join(self) -> None:  # noqa: D102
        _write(self.directory / "cgroup.procs", 0)

    def set_frozen(self, frozen: bool) -> None:  # noqa: D102
        _write(self.directory / "cgroup.freeze", int(frozen))
        _wait_until_frozen(lambda: _table(self.directory / "cgroup.events")["frozen"] == int(frozen))

    def memory_bytes(self) -> int:  # noqa: D102
        used = int((self.directory / "memory.current").read_text())
        return max(0, used - _table(self.directory / "memory.stat")["inactive_file"])

    def cpu_ns(self) -> int:  # noqa: D102
        return _table(self.directory / "cpu.stat")["usage_usec"] * 1000

    def processes(self) -> int:  # noqa: D102
        return int((self.directory / "pids.current").read_text())

    def out_of_memory_kills(self) -> int:  # noqa: D102
        return _table(self.directory / "memory.events")["oom_kill"]

    def members(self) -> list[int]:  # noqa: D102
        return _members(self.directory)

    def thaw_all(self) -> None:  # noqa: D102
        for state in self.directory.rglob("cgroup.freeze"):
            _write(state, 0)

    def count(self) -> int:  # noqa: D102
        return _count(self.directory)

    def remove(self) -> None:  # noqa: D102
        _remove(self.directory)

    def bind_mounts(self) -> list[tuple[str, str, str]]:  # noqa: D102
        return [("cgroup2", "", "")]


def find_cgroup(name: str) -> Cgroup:
    """Return the group `name` (one or two path components) of this host, whether it exists or not.

    Raises `EngineError` if the host lacks a controller that limits need.
    """
    v1, v2 = _mounted_hierarchies()
    if all(controller in v1 for controller in _V1_CONTROLLERS):
        return CgroupV1({controller: v1[controller] / name for controller in _V1_CONTROLLERS})
    if v2 and set(_V2_CONTROLLERS) <= set((v2 / "cgroup.controllers").read_text().split()):
        return CgroupV2(v2 / name)
    raise EngineError(
        f"this host offers neither the cgroup v2 controllers {', '.join(_V2_CONTROLLERS)} nor the v1 controllers "
        f"{', '.join(_V1_CONTROLLERS)}: boot it with cgroup v2, or run on a virtual machine"
    )


def _mounted_hierarchies() -> tuple[dict[str, Path], Path | None]:
    v1: dict[str, Path] = {}
    v2 = None
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup":
            v1 |= dict.fromkeys(options.split(","), Path(target))
        elif kind == "cgroup2":
            v2 = Path(target)
    return v1, v2


def _wait_until_frozen(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _FREEZE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise EngineError("the sandbox's processes could not be frozen: one is stuck in the kernel")
        time.sleep(0.0005)


def _members(directory: Path) -> list[int]:
    return [int(pid) for path in directory.rglob("cgroup.procs") for pid in path.read_text().split()]


def _count(directory: Path) -> int:
    return len(list(directory.rglob("cgroup.procs")))


def _remove(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for child in directory.iterdir():
            if child.is_dir():
                _remove(child)
        directory.rmdir()


def _table(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value in lines}


def _write(path: Path, value: str | int) -> None:
    path.write_text(str(value))
