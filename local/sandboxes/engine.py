"""The seam between the server and whatever isolates: what an engine must offer.

An engine makes sandboxes whose first process starts what it is told on a socket, and answers about files
on another. The server knows nothing else of it, so namespaces or an OCI runtime can stand here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # It needs our types itself.
    from local.sandboxes.processes.service import Processes

Privileges = Literal["none", "sudo"]
"""What `user` may become: nobody else at all, or root of the sandbox's own user namespace."""

DeathCause = Literal["killed", "out_of_memory", "exited"]

OnRefused = Callable[[str, int], None]
"""Told a host that a sandbox's policy kept it from, empty if the connection named none, and the port."""

BASE_LAYER = "base"
"""The layer that holds the root filesystem every sandbox starts from."""


class EngineError(Exception):
    """The engine could not do what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use at most."""

    memory_mb: int = 2048
    cpu_count: int = 2
    disk_mb: int = 10_240
    pids: int = 1024
    open_files: int = 65_536


@dataclass(frozen=True)
class NetworkPolicy:
    """Where a sandbox may connect to; nothing may ever connect to a sandbox.

    Rules are IPv4 addresses and CIDR blocks. `allow_out`, which wins over `deny_out`, also takes names of
    hosts, `example.com` or `*.example.com`: they open HTTP and TLS, on ports 80 and 443, and their lookup.
    """

    allow_internet: bool = True
    allow_out: tuple[str, ...] = ()
    deny_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class SandboxSpec:
    """One sandbox to make. `layers` are read-only, topmost first; the last is `BASE_LAYER`."""

    sandbox_id: str
    layers: tuple[str, ...] = (BASE_LAYER,)
    limits: Limits = field(default_factory=Limits)
    privileges: Privileges = "none"
    network: NetworkPolicy = field(default_factory=NetworkPolicy)


@dataclass(frozen=True)
class Usage:
    """What a sandbox uses now. Bytes, and CPU as nanoseconds since it began."""

    memory_bytes: int
    cpu_ns: int
    disk_bytes: int
    processes: int
    cache_bytes: int = 0
    """Of files, in memory, and not in `memory_bytes`: given up when memory is needed."""


class EngineSandbox(Protocol):
    """A running sandbox."""

    @property
    def spec(self) -> SandboxSpec:
        """What it was made from."""

    @property
    def envd_socket(self) -> Path:
        """The host path of the Unix socket on which its envd answers about files, in HTTP/1.1."""

    @property
    def processes(self) -> "Processes":
        """What clients run in it, over the line to its first process. Gone with the sandbox."""

    async def kill(self) -> None:
        """End every process in it at once and free all it held. Safe to call again."""

    async def pause(self) -> None:
        """Freeze every process in it."""

    async def resume(self) -> None:
        """Let frozen processes run on."""

    async def snapshot(self, layer_id: str) -> None:
        """Keep its filesystem as a new read-only layer on top of its own; it runs on."""

    async def set_network(self, policy: NetworkPolicy) -> None:
        """Hold it to another network policy from now on."""

    def on_refused(self, tell: OnRefused) -> None:
        """Have it told which hosts the sandbox is kept from by their names."""

    async def usage(self) -> Usage:
        """What it uses now."""

    async def wait(self) -> DeathCause:
        """Wait until its first process is gone, and tell why."""


class Engine(Protocol):
    """Makes sandboxes and keeps their layers."""

    async def start(self) -> None:
        """Remove what a crashed run left, then become ready. Raises `EngineError` if the host cannot."""

    @property
    def prepared(self) -> int:
        """How many sandboxes stand ready for a request."""

    async def create(self, spec: SandboxSpec) -> EngineSandbox:
        """Make a sandbox that already starts processes."""

    async def delete_layer(self, layer_id: str) -> None:
        """Delete a layer. Sandboxes that run on it keep it until they end."""

    def layers(self) -> frozenset[str]:
        """The layers that exist now."""

    async def close(self) -> None:
        """Kill every sandbox and leave nothing of ours on the host; layers stay on disk."""
