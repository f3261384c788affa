"""What the engine is told, and the names that everything of one instance carries on the host."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from local.sandboxes.engine import EngineError, Limits
from local.sandboxes.rootfs import RootFilesystem

RUN = Path("/run")
"""Where sockets go: the path of one may have 107 bytes, and a state directory can be anywhere."""

ADDRESS_RANGE = ipaddress.IPv4Network("100.64.0.0/10")
"""Where instances find a slice: the range for carrier-grade NAT, which few networks use inside."""


@dataclass(frozen=True)
class Names:
    """Where an instance's things are found on the host. Two instances never share one."""

    instance: str

    def __post_init__(self) -> None:
        # A network interface's name ends at 15 bytes, and ours add a letter, a dash and an index.
        if not re.fullmatch(r"[a-z0-9]{1,8}", self.instance):
            raise EngineError(f"instance name {self.instance!r}: use 1 to 8 lower-case letters and digits")

    @property
    def run(self) -> Path:
        """The folder of its sockets and mounts."""
        return RUN / f"castari-{self.instance}"

    @property
    def disk(self) -> Path:
        """Where its disk is mounted."""
        return self.run / "disk"

    @property
    def stage(self) -> Path:
        """An empty folder on which jails mount what they prepare."""
        return self.run / "stage"

    @property
    def cgroup(self) -> str:
        """The parent of its control groups."""
        return f"castari-{self.instance}"

    @property
    def veth(self) -> str:
        """What the host's ends of its network links begin with."""
        return f"c{self.instance}-"

    @property
    def table(self) -> str:
        """Its nftables table, of family inet."""
        return f"castari_{self.instance}"


@dataclass(frozen=True)
class EngineSettings:
    """Settings of one engine. `state_dir` keeps the disk with the layers; it may be on any file system."""

    instance: str
    state_dir: Path
    root: RootFilesystem
    pool_size: int = 4
    limits: Limits = field(default_factory=Limits)
    """What pooled jails are prepared with; a sandbox with other limits gets them when it is claimed."""
    disk_gb: int = 40
    address_range: ipaddress.IPv4Network = ADDRESS_RANGE
    relay_port: int | None = None
    """The one TCP port of the host that sandboxes reach, on `Network.relay_address`."""
    nameservers: tuple[str, ...] = ()
    """IPv4 addresses; by default the host's."""
    daemon: str = "local.sandboxes.envd.daemon"
    """The module that runs in a sandbox, with `serve` and `warm_up`."""

    @property
    def names(self) -> Names:
        """What its things on the host are called."""
        return Names(self.instance)
