"""Control groups, version 2: one group for everything."""

from dataclasses import dataclass
from pathlib import Path

from local.sandboxes.engine import Limits
from local.sandboxes.namespaces.cgroup_files import (
    count_of,
    members_of,
    read_table,
    remove_tree,
    wait_until_frozen,
    write,
)

CONTROLLERS = ("memory", "cpu", "pids")
_MIB = 1024 * 1024
_CPU_PERIOD_US = 100_000
_PARENT_WEIGHT = 50  # Of all sandboxes together, against 100 for each sibling.


@dataclass(frozen=True)
class CgroupV2:
    """A group in the unified hierarchy."""

    directory: Path

    def create_parent(self) -> None:  # noqa: D102
        write(self.directory.parent / "cgroup.subtree_control", " ".join(f"+{c}" for c in CONTROLLERS))
        self.create()
        write(self.directory / "cgroup.subtree_control", " ".join(f"+{c}" for c in CONTROLLERS))
        write(self.directory / "cpu.weight", _PARENT_WEIGHT)

    def create(self) -> None:  # noqa: D102
        self.directory.mkdir(exist_ok=True)

    def limit(self, limits: Limits) -> None:  # noqa: D102
        write(self.directory / "memory.max", limits.memory_mb * _MIB)
        if (self.directory / "memory.swap.max").exists():
            write(self.directory / "memory.swap.max", 0)
        write(self.directory / "cpu.max", f"{limits.cpu_count * _CPU_PERIOD_US} {_CPU_PERIOD_US}")
        write(self.directory / "pids.max", limits.pids)

    def join(self) -> None:  # noqa: D102
        write(self.directory / "cgroup.procs", 0)

    def set_frozen(self, frozen: bool) -> None:  # noqa: D102
        write(self.directory / "cgroup.freeze", int(frozen))
        wait_until_frozen(lambda: read_table(self.directory / "cgroup.events")["frozen"] == int(frozen))

    def memory_bytes(self) -> int:  # noqa: D102
        used = int((self.directory / "memory.current").read_text())
        return max(0, used - self.cache_bytes())

    def cache_bytes(self) -> int:  # noqa: D102
        return read_table(self.directory / "memory.stat")["inactive_file"]

    def cpu_ns(self) -> int:  # noqa: D102
        return read_table(self.directory / "cpu.stat")["usage_usec"] * 1000

    def processes(self) -> int:  # noqa: D102
        return int((self.directory / "pids.current").read_text())

    def out_of_memory_kills(self) -> int:  # noqa: D102
        return read_table(self.directory / "memory.events")["oom_kill"]

    def members(self) -> list[int]:  # noqa: D102
        return members_of(self.directory)

    def thaw_all(self) -> None:  # noqa: D102
        for state in self.directory.rglob("cgroup.freeze"):
            write(state, 0)

    def count(self) -> int:  # noqa: D102
        return count_of(self.directory)

    def remove(self) -> None:  # noqa: D102
        remove_tree(self.directory)

    def bind_mounts(self) -> list[tuple[str, str, str]]:  # noqa: D102
        return [("cgroup2", "", "")]
