"""What the sandbox service's plan allows: so many creations a second, so many sandboxes at once."""

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from castari.adapters.queues import Queue
from castari.adapters.tables.capacity import CapacityTable
from castari.clock import Clock, utc_now
from castari.errors import NoCapacity, VendorUnavailable
from castari.messages import GiveWay, ServeLine
from castari.models import CapacityState

Purpose = Literal["run", "warm", "build"]
_WINDOW = timedelta(milliseconds=1020)
"""A second, and what requests may be late on their way to the service."""
_TRIES = 50
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Capacity:
    """Counts sandboxes where the plan has limits; without any, it does nothing and costs nothing."""

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

    def take(self, purpose: Purpose, *, turn: int = 0) -> None:
        """Count a sandbox that is about to be made: one conditional write. Raises `NoCapacity`.

        Builds are counted and never refused: they are few, and their users watch.
        """
        if not self.limited:
            return
        for _ in range(_TRIES):
            seen = self.table.read()
            if purpose != "build":
                self._check(seen, purpose)
            below = self._most(purpose)
            if self.table.take(seen, self._changes(seen, turn), below=below):
                return
            time.sleep(_PAUSE_SECONDS * random.random())  # noqa: S311 - spreads writers, guards nothing
        raise NoCapacity("too many sandboxes are asked for at the same time", wait_seconds=0.1)

    def give_back(self) -> None:
        """Count one sandbox less, and have the next in line served if somebody waits for it."""
        if not self.limited:
            return
        # What is miscounted here, sweep corrects.
        with suppress(VendorUnavailable):
            if self.table.give_back():
                self.queue.send(ServeLine())

    def now(self) -> CapacityState:
        """Return what is counted now."""
        return self.table.read() if self.limited else CapacityState()

    def reconcile(self, before: CapacityState, listed: int) -> int:
        """Correct the count by what the service lists; `before` was read just before. Return by how much.

        A sandbox that ends by its own timeout is not given back. One that is being made meanwhile is not
        listed yet: the count is too low by it for a moment, and the service itself refuses what is too much.
        """
        drift = listed - before.alive if self.limited else 0
        if drift:
            self.table.correct(drift)
        return drift

    def _check(self, seen: CapacityState, purpose: Purpose) -> None:
        most = self._most(purpose)
        if most is not None and seen.alive >= most:
            if purpose == "run":
                self._want(most)
            raise NoCapacity(f"{seen.alive} sandboxes exist, {most} may")
        if self.creates_per_second and len(seen.recent) >= self.creates_per_second:
            wait = seen.recent[-self.creates_per_second] + _WINDOW - self.clock()
            if wait > timedelta(0):
                limit = f"{self.creates_per_second} sandboxes were made in the last second"
                raise NoCapacity(limit, wait_seconds=wait.total_seconds())

    def _want(self, most: int) -> None:
        """Be told of the next end; the first to wait also asks unused sandboxes to give way."""
        first = self.table.want(most)
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
