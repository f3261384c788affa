"""Counts what an instance has on the host, by name: equal before and after, or something leaked."""

import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.namespaces.settings import Names


@dataclass(frozen=True)
class Inventory:
    """How many of each an instance has."""

    processes: int
    cgroups: int
    mounts: int
    veths: int
    nft_tables: int
    sandbox_disks: int
    sockets: int

    @property
    def total(self) -> int:
        """The sum: 0 when nothing of the instance is left."""
        return sum(asdict(self).values())

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in asdict(self).items())


def take_inventory(instance: str) -> Inventory:
    """Count what is there now. Needs root."""
    names = Names(instance)
    cgroup = find_cgroup(names.cgroup)
    return Inventory(
        processes=len({*cgroup.members(), *zygotes(names)}),
        cgroups=cgroup.count(),
        mounts=Path("/proc/self/mounts").read_text().count(f" {names.run}/"),
        veths=len(list(Path("/sys/class/net").glob(f"{names.veth}*"))),
        nft_tables=_nft_tables().split().count(names.table),
        sandbox_disks=len(list((names.disk / "sandboxes").glob("*"))),
        sockets=len(list(names.run.glob("*.sock"))),
    )


def zygotes(names: Names) -> list[int]:
    """Return the process ids of an instance's zygote, and of jails that it just forked."""
    wanted = "local.sandboxes.namespaces.zygote"
    return [pid for pid, words in _commands() if wanted in words and names.instance in words]


def _commands() -> list[tuple[int, list[str]]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append((int(path.parent.name), path.read_bytes().decode(errors="replace").split("\0")))
        except OSError:
            continue  # It ended while we looked.
    return found


def _nft_tables() -> str:
    return subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
