"""What the probe is told about the world outside its sandbox, so that its attacks aim at something real."""

import json
from dataclasses import asdict, dataclass, field

Place = tuple[str, int]
"""An address, IPv4 or IPv6, and a port."""


@dataclass(frozen=True)
class Limits:
    """What the sandbox claims to allow; an attempt succeeds when it gets more."""

    pids: int = 64
    memory_mb: int = 64
    disk_mb: int = 64
    open_files: int = 1024
    files: int = 2048
    inotify_instances: int = 16
    wide_pipes: int = 16
    pending_signals: int = 256


@dataclass(frozen=True)
class Target:
    """Stand-ins that the test made. The probe aims at nothing else."""

    host_file: str
    """A file on the host that anybody may read."""
    foreign_pids: tuple[int, ...] = ()
    """Process ids, as the host counts them, of processes outside the sandbox."""
    foreign_sockets: tuple[str, ...] = ()
    """Host paths of Unix sockets on which others listen."""
    places: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    """Addresses by what they stand for, each with a listener that answers with a banner."""
    limits: Limits = field(default_factory=Limits)
    kernel_files: str = "/proc"
    """Where the files lie through which root steers the kernel."""

    def to_json(self) -> str:
        """Write the target down for the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Target":
        """Read what `to_json` wrote."""
        read = json.loads(text)
        places = {name: tuple((host, port) for host, port in each) for name, each in read["places"].items()}
        return cls(
            host_file=read["host_file"],
            foreign_pids=tuple(read["foreign_pids"]),
            foreign_sockets=tuple(read["foreign_sockets"]),
            places=places,
            limits=Limits(**read["limits"]),
            kernel_files=read["kernel_files"],
        )
