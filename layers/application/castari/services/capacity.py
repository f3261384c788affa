"""What the sandbox service's plan allows: so many creations a second, so many sandboxes at once."""

import random
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from castari.adapters.queues import Queue
from castari.adapters.tables.capacity import CapacityTable
from castari.clock import Clock, utc_now
from castari.errors import NoCapacity, VendorRateLimited, VendorUnanswered, VendorUnavailable
from castari.messages import GiveWay, ServeLine
from castari.models import CapacityState, SandboxAccess
from castari.services.promises import LAG, given_again, is_over, is_too_old, promise_name

Purpose = Literal["run", "warm", "build"]
_WINDOW = timedelta(milliseconds=1020)
"""A second, and what requests may be late on their way to the service."""
_TRIES = 50
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Capacity:
    """Counts sandboxes where the plan has limits; without any, it does nothing and costs nothing.

    A sandbox is counted before it is made, as a promise, and from then on by its id. Both are names in sets,
    so it makes no difference how often or in what order anybody tells of an end.
    """

    table: CapacityTable
    queue: Queue
    maintenance: Queue
    creates_per_second: int
    sandboxes_at_once: int
    clock: Clock = utc_now

    @property
    def limited(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.creates_per_second or self.sandboxes_at_once)

    def take(self, purpose: Purpose, *, turn: int | None = None) -> str | None:
        """Count a sandbox that is about to be made: one conditional write. Raises `NoCapacity`.

        Returns the promise of it, None where nothing is counted. With the `turn` of somebody in line it is
        one to `redeem` first. Builds are counted and never refused: they are few, and their users watch.
        """
        if not self.limited:
            return None
        for _ in range(_TRIES):
            seen = self.table.read()
            if purpose != "build":
                self._check(seen, purpose)
            promise = promise_name(seen.version + 1, self.clock())
            if self.table.promise(seen, promise, self._changes(seen, turn or 0), called=turn is not None):
                return promise
            time.sleep(_PAUSE_SECONDS * random.random())  # noqa: S311 - spreads writers, guards nothing
        raise NoCapacity("too many sandboxes are asked for at the same time", wait_seconds=0.1)

    def redeem(self, called: str) -> str | None:
        """Return the promise that came with a call: once, and None where it was given up meanwhile.

        A version that counted otherwise named its calls otherwise; what those promised is not counted here.
        """
        promise = given_again(called, self.clock()) if self.limited else None
        return promise if promise and self.table.redeem(called, promise) else None

    async def make(
        self, promise: str | None, create: Callable[[], Awaitable[SandboxAccess]]
    ) -> SandboxAccess:
        """Make the promised sandbox. Raises what `create` does, `VendorRateLimited` if it is too late for it.

        Where nobody can tell whether it was made, the promise stays until it certainly would be listed.
        """
        if promise is None:
            return await create()
        if is_too_old(promise, self.clock()):
            self.give_back(promise)
            raise VendorRateLimited("too long after the sandbox was counted to make it")
        try:
            access = await create()
        except VendorUnanswered:
            raise
        except VendorUnavailable:
            self.give_back(promise)
            raise
        self._keep(promise, access.sandbox_id)
        return access

    def _keep(self, promise: str, sandbox_id: str) -> None:
        if not self.sandboxes_at_once:
            self.give_back(promise)
            return
        # What is not written here, sweep finds.
        with suppress(VendorUnavailable):
            self.table.keep(promise, sandbox_id)

    def ended(self, sandbox_id: str) -> None:
        """Count a sandbox no more, as `give_back`; where they may be any number, none is counted."""
        if self.sandboxes_at_once:
            self.give_back(sandbox_id)

    def give_back(self, name: str | None) -> None:
        """Count a promise or a sandbox no more, and have the next in line served if somebody waits."""
        if name is None or not self.limited:
            return
        # What is miscounted here, sweep corrects.
        with suppress(VendorUnavailable):
            self._release([name])

    def now(self) -> CapacityState:
        """Return what is counted now."""
        if not self.limited:
            return CapacityState()
        asked_at = self.clock()
        return self.table.read().model_copy(update={"read_at": asked_at})

    def reconcile(self, before: CapacityState, listed: Collection[str]) -> int:
        """Correct what is counted by what the service lists; return by how many.

        `before` is what was counted `now`, before the service was asked.

        A sandbox that ends by its own timeout is not given back, and a worker may die between any two steps.
        Nothing is dropped that may exist: neither a promise that may yet be kept, nor an id that is missing
        from one listing only.
        """
        if before.read_at is None:
            return 0
        after = self.table.read()
        running = frozenset(listed if self.sandboxes_at_once else ())
        # Known neither before nor after: what is made or ends meanwhile is seen to by whoever does it.
        found = running - before.sandboxes - after.sandboxes
        gone = self._gone(before, before.read_at, before.sandboxes - running) & after.sandboxes
        promises = after.promised | after.calls
        late = {each for each in promises if is_over(each, before.read_at)}
        if found:
            self.table.adopt(found)
        if gone or late:
            self._release(gone | late)
        return len(found) + len(gone) + len(late)

    def _gone(self, before: CapacityState, at: datetime, unseen: frozenset[str]) -> frozenset[str]:
        """Return what is missing for the second time, and note what is for the first."""
        if before.unseen_at and at - before.unseen_at < LAG:
            return frozenset()
        gone = unseen & before.unseen
        if unseen or before.unseen:
            self.table.note_unseen(unseen - gone, self.clock())
        return gone

    def _release(self, names: Collection[str]) -> None:
        if self.table.release(names):
            self.queue.send(ServeLine())

    def _check(self, seen: CapacityState, purpose: Purpose) -> None:
        most = self._most(purpose)
        if most is not None and seen.alive >= most:
            if purpose == "run":
                self._want(seen)
            raise NoCapacity(f"{seen.alive} sandboxes exist, {most} may")
        if self.creates_per_second and len(seen.recent) >= self.creates_per_second:
            wait = seen.recent[-self.creates_per_second] + _WINDOW - self.clock()
            if wait > timedelta(0):
                limit = f"{self.creates_per_second} sandboxes were made in the last second"
                raise NoCapacity(limit, wait_seconds=wait.total_seconds())

    def _want(self, seen: CapacityState) -> None:
        """Be told of the next end; the first to wait also asks unused sandboxes to give way."""
        first = self.table.want(seen)
        if first is None:
            raise NoCapacity("a sandbox ended just now", wait_seconds=0.01)
        if first:
            self.maintenance.send(GiveWay())

    def _most(self, purpose: Purpose) -> int | None:
        """Return how many there may be; unused ones leave half of them to those that are used."""
        if not self.sandboxes_at_once or purpose == "build":
            return None
        return self.sandboxes_at_once if purpose == "run" else max(1, self.sandboxes_at_once // 2)

    def _changes(self, seen: CapacityState, turn: int) -> dict[str, object]:
        changes: dict[str, object] = {"turn": turn} if turn > seen.turn else {}
        latest = [*seen.recent, self.clock()][-self.creates_per_second :]
        return changes | ({"recent": latest} if self.creates_per_second else {})
