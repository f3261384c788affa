"""A running sandbox of the namespace engine."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from local.sandboxes.engine import DeathCause, EngineError, NetworkPolicy, OnRefused, SandboxSpec, Usage
from local.sandboxes.namespaces.cell import Cell
from local.sandboxes.namespaces.disk import Disk
from local.sandboxes.namespaces.egress import Egress
from local.sandboxes.namespaces.vacated import VacatedNetworks
from local.sandboxes.processes.service import Processes

T = TypeVar("T")


@dataclass(frozen=True)
class NamespaceSandbox:
    """A claimed jail. `base` is the root filesystem below its layers."""

    spec: SandboxSpec
    cell: Cell
    disk: Disk
    base: tuple[Path, ...]
    egress: Egress
    vacated: VacatedNetworks

    @property
    def envd_socket(self) -> Path:
        """The host path of the Unix socket on which its envd answers about files, in HTTP/1.1."""
        return self.cell.envd_socket

    @property
    def processes(self) -> Processes:
        """What its clients run in it."""
        if self.cell.processes is None:
            raise EngineError("the jail is not claimed yet: only a sandbox has processes")
        return self.cell.processes

    async def kill(self) -> None:
        """End every process in it at once. What else it held is freed in the background."""
        # One with a policy takes its network along: none of its packets may be sent once the policy is gone.
        if self.egress.is_open(self.cell.plan):
            self.vacated.hold(self.cell.forked.pid)
        await self.cell.kill()

    async def pause(self) -> None:
        """Freeze every process in it."""
        await self._set_frozen(True)

    async def resume(self) -> None:
        """Let frozen processes run on."""
        await self._set_frozen(False)

    async def snapshot(self, layer_id: str) -> None:
        """Keep its filesystem as a new read-only layer on top of its own; it runs on."""
        was_frozen = self.cell.frozen
        await self._set_frozen(True)
        try:
            await asyncio.to_thread(self.disk.keep, self.cell.plan.index, layer_id, self.base)
        finally:
            if not was_frozen:
                with contextlib.suppress(EngineError):  # It was killed in the meantime.
                    await self._set_frozen(False)

    async def set_network(self, policy: NetworkPolicy) -> None:
        """Hold it to another network policy from now on."""
        if self.cell.dead.is_set():
            raise EngineError("the sandbox has ended")
        await self.egress.hold(self.cell.plan, policy)

    def on_refused(self, tell: OnRefused) -> None:
        """Have it told which hosts the sandbox is kept from by their names."""
        self.egress.listen(self.cell.plan, tell)

    async def usage(self) -> Usage:
        """Return what it uses now."""
        cgroup = self.cell.cgroup
        return await self._while_alive(
            lambda: Usage(
                memory_bytes=cgroup.memory_bytes(),
                cpu_ns=cgroup.cpu_ns(),
                disk_bytes=self.disk.used_bytes(self.cell.plan.index),
                processes=cgroup.processes(),
                cache_bytes=cgroup.cache_bytes(),
            )
        )

    async def wait(self) -> DeathCause:
        """Wait until its first process is gone, and tell why."""
        await self.cell.dead.wait()
        return self.cell.cause

    async def _set_frozen(self, frozen: bool) -> None:
        await self._while_alive(lambda: self.cell.cgroup.set_frozen(frozen))
        self.cell.frozen = frozen

    async def _while_alive(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            if self.cell.dead.is_set():
                raise EngineError("the sandbox has ended") from error
            raise
