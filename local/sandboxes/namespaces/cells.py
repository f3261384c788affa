"""All jails of an engine: makes them, keeps a pool of prepared ones, clears away the dead."""

import asyncio
import errno
import itertools
import logging
import socket
import time
from pathlib import Path

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.cell import Cell
from local.sandboxes.namespaces.cgroups import Cgroup, find_cgroup
from local.sandboxes.namespaces.disk import Disk
from local.sandboxes.namespaces.identity import first_uid_of
from local.sandboxes.namespaces.network import MAX_INDEX, Network
from local.sandboxes.namespaces.plans import Claim, Plan
from local.sandboxes.namespaces.reserve import Reserve
from local.sandboxes.namespaces.settings import EngineSettings
from local.sandboxes.namespaces.zygote_client import Zygote
from local.sandboxes.rootfs import FIRST_UID

_log = logging.getLogger(__name__)
_BACKLOG = 512
_EMPTY_CGROUP_SECONDS = 5.0


class Cells:
    """The jails of an engine. A pooled one is used once; taking one never waits for the next."""

    def __init__(self, settings: EngineSettings, network: Network, disk: Disk, *, own_ids: bool) -> None:
        self._settings = settings
        self._network = network
        self._disk = disk
        self._own_ids = own_ids
        self._zygote = Zygote(settings.instance, settings.daemon, self._end_all)
        self._living: dict[int, Cell] = {}
        self._clearing: set[asyncio.Task[None]] = set()
        self.reserve = Reserve(settings.pool_size, self._make)
        self._next_index = itertools.cycle(range(1, MAX_INDEX + 1))

    async def start(self) -> None:
        """Start the zygote and fill the pool in the background."""
        await self._zygote.start()
        self.reserve.start()

    async def take(self, claim: Claim) -> Cell:
        """Return a jail for this claim: from the pool, at best one that has settled on it, or a new one."""
        self._zygote.notice_death()
        return self.reserve.take(claim) or await self._make()

    async def close(self) -> None:
        """Kill every jail, wait until nothing of them is left, and end the zygote."""
        await self.reserve.close()
        await asyncio.gather(*(cell.kill() for cell in list(self._living.values())))
        await asyncio.gather(*self._clearing)
        await self._zygote.close()

    def _end_all(self) -> None:
        """End the jails of a zygote that died: without their parent, they must not run on."""
        self.reserve.lose_all()
        for cell in self._living.values():
            cell.end()

    async def _make(self) -> Cell:
        index = self._free_index()
        plan = self._plan(index)
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setblocking(False)
        path = self._settings.names.run / f"{index}.sock"
        try:
            with theirs, _listen(path) as listener:
                forked = await self._zygote.fork(plan, theirs, listener)
        except BaseException:
            control.close()
            path.unlink(missing_ok=True)
            raise
        cell = Cell(plan, forked, control, path, find_cgroup(plan.cgroup))
        self._living[index] = cell
        cell.watch()
        task = asyncio.create_task(self._clear_when_dead(cell))
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)
        try:
            await cell.prepared()
        except BaseException:
            await cell.kill()
            raise
        return cell

    def _plan(self, index: int) -> Plan:
        names, address = self._settings.names, self._network.address(index)
        return Plan(
            index=index,
            first_uid=first_uid_of(address) if self._own_ids else FIRST_UID,
            cgroup=f"{names.cgroup}/{index}",
            veth=f"{names.veth}{index}",
            address=address,
            gateway=self._network.gateway,
            mtu=self._network.mtu,
            stage=str(names.stage),
            subvolume=str(self._disk.sandbox(index)),
            resolv_conf=self._network.resolv_conf,
            limits=self._settings.limits,
        )

    def _free_index(self) -> int:
        # Round and round, so that a number comes back only long after the kernel took down its link.
        for index in itertools.islice(self._next_index, MAX_INDEX):
            if index not in self._living:
                return index
        raise EngineError(f"{MAX_INDEX} sandboxes exist already: kill some first")

    async def _clear_when_dead(self, cell: Cell) -> None:
        await cell.dead.wait()
        cell.close()
        cell.envd_socket.unlink(missing_ok=True)
        try:
            await asyncio.to_thread(_clear, cell, self._disk)
        except OSError:
            _log.exception(
                "sandbox number %d left something behind: the next start removes it", cell.plan.index
            )
        finally:
            del self._living[cell.plan.index]


def _clear(cell: Cell, disk: Disk) -> None:
    disk.delete_sandbox(cell.plan.index)
    _remove_when_empty(cell.cgroup)


def _remove_when_empty(cgroup: Cgroup) -> None:
    """Remove a group whose last process is dead: the kernel takes a moment to see it that way."""
    deadline = time.monotonic() + _EMPTY_CGROUP_SECONDS
    while True:
        try:
            cgroup.remove()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(_BACKLOG)
    return listener
