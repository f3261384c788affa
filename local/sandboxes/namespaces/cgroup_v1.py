"""Control groups, version 1: a group in each hierarchy."""

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

CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")
_MIB = 1024 * 1024
_CPU_PERIOD_US = 100_000
_PARENT_WEIGHT = 512  # Of all sandboxes together; each process of the host outside of groups has 1024.


@dataclass(frozen=True)
class CgroupV1:
    """A group in each version 1 hierarchy; some hierarchies hold several controllers."""

    directories: dict[str, Path]

    def create_parent(self) -> None:  # noqa: D102
        self.create()
        write(self.directories["cpu"] / "cpu.shares", _PARENT_WEIGHT)

    def create(self) -> None:  # noqa: D102
        for directory in self._unique():
            directory.mkdir(exist_ok=True)

    def limit(self, limits: Limits) -> None:  # noqa: D102
        memory = self.directories["memory"]
        with_swap = memory / "memory.memsw.limit_in_bytes"
        if with_swap.exists():
            write(with_swap, -1)  # It may never be below the limit without swap.
        write(memory / "memory.limit_in_bytes", limits.memory_mb * _MIB)
        if with_swap.exists():
            write(with_swap, limits.memory_mb * _MIB)
        write(self.directories["cpu"] / "cpu.cfs_period_us", _CPU_PERIOD_US)
        write(self.directories["cpu"] / "cpu.cfs_quota_us", limits.cpu_count * _CPU_PERIOD_US)
        write(self.directories["pids"] / "pids.max", limits.pids)

    def join(self) -> None:  # noqa: D102
        for directory in self._unique():
            write(directory / "cgroup.procs", 0)

    def set_frozen(self, frozen: bool) -> None:  # noqa: D102
        state = self.directories["freezer"] / "freezer.state"
        wanted = "FROZEN" if frozen else "THAWED"
        write(state, wanted)
        wait_until_frozen(lambda: state.read_text().strip() == wanted)

    def memory_bytes(self) -> int:  # noqa: D102
        memory = self.directories["memory"]
        used = int((memory / "memory.usage_in_bytes").read_text())
        return max(0, used - self.cache_bytes())

    def cache_bytes(self) -> int:  # noqa: D102
        return read_table(self.directories["memory"] / "memory.stat")["total_inactive_file"]

    def cpu_ns(self) -> int:  # noqa: D102
        return int((self.directories["cpuacct"] / "cpuacct.usage").read_text())

    def processes(self) -> int:  # noqa: D102
        return int((self.directories["pids"] / "pids.current").read_text())

    def out_of_memory_kills(self) -> int:  # noqa: D102
        # Not failcnt: that counts every successful reclaim too.
        return read_table(self.directories["memory"] / "memory.oom_control")["oom_kill"]

    def members(self) -> list[int]:  # noqa: D102
        return members_of(self.directories["pids"])

    def thaw_all(self) -> None:  # noqa: D102
        for state in self.directories["freezer"].rglob("freezer.state"):
            write(state, "THAWED")

    def count(self) -> int:  # noqa: D102
        return sum(map(count_of, self._unique()))

    def remove(self) -> None:  # noqa: D102
        for directory in self._unique():
            remove_tree(directory)

    def bind_mounts(self) -> list[tuple[str, str, str]]:  # noqa: D102
        return [("cgroup", "memory", "memory")]

    def _unique(self) -> list[Path]:
        return list(dict.fromkeys(self.directories.values()))
