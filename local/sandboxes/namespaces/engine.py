"""The namespace engine: what the server asks for, put together from jails, network and disk."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path

from local.sandboxes.engine import BASE_LAYER, EngineError, SandboxSpec
from local.sandboxes.namespaces.cell import Cell
from local.sandboxes.namespaces.cells import Cells
from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.namespaces.disk import Disk, open_disk
from local.sandboxes.namespaces.egress import Egress
from local.sandboxes.namespaces.identity import can_shift
from local.sandboxes.namespaces.leftovers import claim_instance, remove_leftovers
from local.sandboxes.namespaces.network import Network, open_network, relay_address
from local.sandboxes.namespaces.plans import Claim
from local.sandboxes.namespaces.preflight import find_problems
from local.sandboxes.namespaces.sandbox import NamespaceSandbox
from local.sandboxes.namespaces.settings import EngineSettings
from local.sandboxes.namespaces.vacated import VacatedNetworks
from local.sandboxes.namespaces.zygote_client import JailDiedError

_log = logging.getLogger(__name__)
_SPARE_CLAIMS = 2


class NamespaceEngine:
    """Isolates sandboxes with namespaces. One at a time for each instance name."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._stack = contextlib.AsyncExitStack()
        self._uses: Counter[str] = Counter()
        self._doomed: set[str] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._vacated = VacatedNetworks()
        self._network: Network
        self._egress: Egress
        self._disk: Disk
        self._cells: Cells

    @property
    def relay_address(self) -> str:
        """The host's address on which sandboxes reach the relay, once the engine has started."""
        return relay_address(self._network.subnet)

    async def start(self) -> None:
        """Remove what a crashed run left, then become ready. Raises `EngineError` if the host cannot."""
        if problems := find_problems():
            raise EngineError("this host cannot isolate sandboxes:\n" + "\n".join(problems))
        settings, names = self._settings, self._settings.names
        try:
            self._stack.enter_context(claim_instance(names))
            self._stack.push_async_callback(remove_leftovers, names, for_good=True)
            await remove_leftovers(names)
            names.stage.mkdir(exist_ok=True)
            self._disk = await asyncio.to_thread(open_disk, settings.state_dir, names.disk, settings.disk_gb)
            self._network, self._egress = await open_network(settings)
            self._stack.push_async_callback(self._egress.close)
            find_cgroup(names.cgroup).create_parent()
            own_ids = can_shift((*settings.root.directories, self._disk.mount))
            if not own_ids:
                _log.warning("this host's file systems cannot map owners: sandboxes share their user ids")
            self._cells = Cells(settings, self._network, self._disk, own_ids=own_ids)
            self._stack.callback(self._vacated.release)
            self._stack.push_async_callback(self._cells.close)
            await self._cells.start()
        except BaseException:
            await self.close()
            raise

    async def create(self, spec: SandboxSpec) -> NamespaceSandbox:
        """Make a sandbox whose envd already answers."""
        layers = tuple(layer for layer in spec.layers if layer != BASE_LAYER)
        lower = tuple(map(self._lower, layers))
        base = self._disk.base_of(layers[0]) if layers else self._settings.root.directories
        env = self._settings.root.env
        claim = Claim(tuple(map(str, (*lower, *base))), spec.limits, spec.privileges, env)
        self._uses.update(layers)
        try:
            cell = await self._claim(claim, spec)
        except BaseException:
            await self._release(layers, None)
            raise
        self._follow(self._end(layers, cell))
        return NamespaceSandbox(spec, cell, self._disk, base, self._egress, self._vacated)

    async def _claim(self, claim: Claim, spec: SandboxSpec) -> Cell:
        """Take a jail and make it a sandbox; another one if it dies meanwhile, as with its zygote."""
        for _ in range(_SPARE_CLAIMS):
            with contextlib.suppress(JailDiedError):
                return await self._claim_one(claim, spec)
        return await self._claim_one(claim, spec)

    async def _claim_one(self, claim: Claim, spec: SandboxSpec) -> Cell:
        cell = await self._cells.take(claim)
        try:
            await self._egress.hold(cell.plan, spec.network)
            await cell.claim(claim)
        except BaseException:
            await self._release((), cell)
            raise
        return cell

    async def delete_layer(self, layer_id: str) -> None:
        """Delete a layer. Sandboxes that run on it keep it until they end."""
        self._doomed.add(layer_id)
        self._uses[layer_id] += 1
        try:
            with contextlib.suppress(EngineError):  # It is gone already.
                await self._cells.reserve.forsake(str(self._disk.lower(layer_id)))
        finally:
            self._uses[layer_id] -= 1
        await self._bury_layers()

    def layers(self) -> frozenset[str]:
        """Return the layers that exist now."""
        return self._disk.layers() - self._doomed | {BASE_LAYER}

    @property
    def prepared(self) -> int:
        """The size of the pool now."""
        return len(self._cells.reserve)

    async def pool_filled(self) -> None:
        """Wait until the pool of prepared jails is full."""
        await self._cells.reserve.filled()

    async def close(self) -> None:
        """Kill every sandbox and leave nothing of ours on the host; layers stay on disk."""
        await self._stack.aclose()
        await asyncio.gather(*self._ends)

    def _lower(self, layer_id: str) -> Path:
        if layer_id in self._doomed:
            raise EngineError(f"there is no layer {layer_id!r}: it was deleted")
        return self._disk.lower(layer_id)

    def _follow(self, end: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(end)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _end(self, layers: tuple[str, ...], cell: Cell) -> None:
        await cell.dead.wait()
        await self._release(layers, cell)

    async def _release(self, layers: tuple[str, ...], cell: Cell | None) -> None:
        self._uses.subtract(layers)
        if cell:
            await cell.kill()
            await self._egress.forget(cell.plan)
        await self._bury_layers()

    async def _bury_layers(self) -> None:
        for layer_id in [each for each in self._doomed if not self._uses[each]]:
            await asyncio.to_thread(self._disk.delete_layer, layer_id)
            self._doomed.discard(layer_id)
