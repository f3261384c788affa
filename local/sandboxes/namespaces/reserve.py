"""Keeps the pool of prepared jails as it should be, in the background."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.cell import Cell
from local.sandboxes.namespaces.plans import Claim
from local.sandboxes.namespaces.pool import Pool

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_LULL_SECONDS = 0.04
_ANSWER_SECONDS = 0.002


class Reserve:
    """A pool, and the task that fills it with what `make` makes. Taking a jail never waits for the next."""

    def __init__(self, size: int, make: Callable[[], Awaitable[Cell]]) -> None:
        self._size, self._make = size, make
        self._pool = Pool(size)
        self._settling = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._filled = asyncio.Event()
        self._filler: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to fill the pool."""
        if self._size:
            self._wanted.set()
            self._filler = asyncio.create_task(self._keep_filled())

    def take(self, claim: Claim) -> Cell | None:
        """Take out a jail for this claim, at best one that has settled on it; none if the pool is empty."""
        cell = self._pool.take(claim)
        self._filled.clear()
        # Whoever asked is answered first.
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self._wanted.set)
        return cell

    def __len__(self) -> int:
        return len(self._pool)

    async def filled(self) -> None:
        """Wait until the pool is as it should be, as the benches need it."""
        await self._filled.wait()

    async def forsake(self, layer: str) -> None:
        """Let no jail of the pool stand on a layer."""
        self._pool.forsake(layer)
        async with self._settling:
            while cell := self._pool.pop_stale():
                await cell.kill()

    def lose_all(self) -> None:
        """Forget the jails of the pool, which are about to end."""
        self._pool.clear()

    async def close(self) -> None:
        """Stop filling. What is in the pool stays."""
        if self._filler:
            self._filler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._filler

    async def _keep_filled(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                while await self._better():
                    pass
            except (EngineError, OSError) as error:
                _log.warning("the pool of prepared sandboxes could not be filled: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._wanted.set()
            else:
                self._filled.set()

    async def _better(self) -> bool:
        """End, settle or make one jail; tell whether there was anything to do."""
        async with self._settling:
            if stale := self._pool.pop_stale():
                await stale.kill()
                return True
            if unsettled := self._pool.pop_unsettled():
                await self._settle(*unsettled)
                return True
        if not self._pool.has_room:
            return False
        if not self._pool.is_low:
            # What was taken runs a command now, and the next requests find others ready.
            await asyncio.sleep(_LULL_SECONDS)
        self._pool.add(await self._make())
        return True

    async def _settle(self, cell: Cell, claim: Claim) -> None:
        try:
            await cell.claim(claim)
        except BaseException:
            self._pool.forget(claim)
            await cell.kill()
            raise
        self._pool.add(cell)
