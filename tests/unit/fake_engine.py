"""An engine in memory: sandboxes that a test can let die, hold up, or refuse."""

import asyncio
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from local.sandboxes.engine import (
    BASE_LAYER,
    DeathCause,
    EngineError,
    NetworkPolicy,
    OnRefused,
    SandboxSpec,
    Usage,
)
from local.sandboxes.processes.service import Processes


@dataclass
class FakeSandbox:
    """Notes what was asked of it."""

    spec: SandboxSpec
    engine: "FakeEngine"
    calls: list[str] = field(default_factory=list)
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    cause: DeathCause = "exited"
    network: NetworkPolicy | None = None

    def __post_init__(self) -> None:
        # It has no first process: whoever wants something of one learns that it has ended.
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._processes = Processes(control, os.getuid(), os.openpty)
        self._processes.close()

    @property
    def envd_socket(self) -> Path:
        return Path("/nonexistent/envd")

    @property
    def processes(self) -> Processes:
        return self._processes

    async def kill(self) -> None:
        self.calls.append("kill")
        self.cause = "killed"
        self.dead.set()

    async def pause(self) -> None:
        self.calls.append("pause begins")
        await self.engine.gate.wait()
        if self.engine.broken:
            raise EngineError("can not freeze")
        self.calls.append("pause ends")

    async def resume(self) -> None:
        self.calls.append("resume")

    async def snapshot(self, layer_id: str) -> None:
        if self.engine.full:
            raise EngineError("no room left")
        self.engine.kept_layers.add(layer_id)

    async def set_network(self, policy: NetworkPolicy) -> None:
        self.network = policy

    def on_refused(self, tell: OnRefused) -> None:
        self.refuse = tell

    async def usage(self) -> Usage:
        return Usage(1, 2, 3, 4)

    async def wait(self) -> DeathCause:
        await self.dead.wait()
        return self.cause


@dataclass
class FakeEngine:
    """Makes sandboxes once `gate` is open, unless it is `broken`."""

    sandboxes: list[FakeSandbox] = field(default_factory=list)
    kept_layers: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    full: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def start(self) -> None:
        pass

    @property
    def prepared(self) -> int:
        return 3

    async def create(self, spec: SandboxSpec) -> FakeSandbox:
        sandbox = FakeSandbox(spec, self)
        self.sandboxes.append(sandbox)
        await self.gate.wait()
        if self.broken:
            raise EngineError("no memory left")
        return sandbox

    async def delete_layer(self, layer_id: str) -> None:
        self.kept_layers.remove(layer_id)

    def layers(self) -> frozenset[str]:
        return frozenset({BASE_LAYER, *self.kept_layers})

    async def close(self) -> None:
        pass
