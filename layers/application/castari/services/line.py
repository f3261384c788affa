"""The fair line: users take turns, whoever has how many invocations waiting for a sandbox."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.queues import Queue
from castari.adapters.tables.capacity import CapacityTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.line import LineTable
from castari.clock import Clock, utc_now
from castari.errors import NoCapacity, NotFound
from castari.messages import ServeLine, StartInvocation
from castari.models import Invocation, Waiting
from castari.services.capacity import Capacity

_CALLED = timedelta(seconds=60)
"""Should whoever calls one up die, the next may call it after this."""
_PACING = timedelta(seconds=20)
"""One worker stays that long, to make each sandbox when the plan allows the next; then another takes over."""


@dataclass(frozen=True)
class Line:
    """Who waits for a sandbox is called up when there is one for him; the queue then brings him to a worker.

    A place in line is a turn of its user. The turns of a user follow each other, and none is earlier than the
    turn that is served now: of two users who wait, each gets every second sandbox.
    """

    table: LineTable
    capacity_table: CapacityTable
    invocations: InvocationsTable
    capacity: Capacity
    queue: Queue
    clock: Clock = utc_now
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep

    def admit(self) -> str | None:
        """Promise a sandbox to somebody who just comes, if nobody waits. Raises `NoCapacity`."""
        if not self.capacity.limited:
            return None
        if not self.table.is_empty():
            raise NoCapacity("others wait for a sandbox too")
        return self.capacity.take("run")

    def admit_unused(self) -> str | None:
        """Promise a sandbox that nobody needs yet, if nobody waits. Raises `NoCapacity`."""
        if not self.capacity.limited:
            return None
        if not self.table.is_empty():
            raise NoCapacity("invocations wait for a sandbox")
        return self.capacity.take("warm")

    def join(self, queued: Invocation) -> None:
        """Wait in line. Doing so twice is doing it once. Raises `StaleWrite` if it does not wait any more."""
        place = queued.place
        if place is None:
            running = self.capacity_table.read().turn
            turn = self.table.next_turn(queued.user_id, running, self.clock())
            place = f"{turn:012d}#{queued.invocation_id}"
            self.invocations.change(queued, {"place": place})
        self.table.join(Waiting(place=place, invocation_id=queued.invocation_id, user_id=queued.user_id))

    def redeem(self, called: StartInvocation) -> str | None:
        """Return the sandbox that is promised with this delivery of a call: only with the first one."""
        return self.capacity.redeem(called.call_id) if called.call_id else None

    def ask(self) -> None:
        """Have the line served soon."""
        self.queue.send(ServeLine())

    def remind(self) -> bool:
        """Have the line served if somebody waits; tell whether."""
        if not self.capacity.limited or self.table.is_empty():
            return False
        self.ask()
        return True

    async def serve(self) -> int:
        """Call up whoever can have a sandbox, and stay while more are only a moment away; return how many."""
        called, pacing = 0, False
        ends_at = self.clock() + _PACING
        while True:
            more, refusal = self._call_up_all()
            called += more
            wait = refusal.wait_seconds if refusal else None
            if wait is not None and not pacing:
                pacing = self.capacity_table.begin_pacing(self.clock(), ends_at + _PACING)
            if wait is None or not pacing:
                break
            if self.clock() >= ends_at:
                break
            await self.pause(wait)
        if pacing:
            self.capacity_table.end_pacing()
            # Whoever joined meanwhile left it to us.
            if not self.table.is_empty():
                self.ask()
        return called

    def _call_up_all(self) -> tuple[int, NoCapacity | None]:
        """Call up one after the other until the plan is exhausted, or nobody waits."""
        called = 0
        for waiting in self._in_turn():
            try:
                promise = self.capacity.take("run", turn=_turn(waiting))
            except NoCapacity as refusal:
                return called, refusal
            if self._call_up(waiting, promise):
                called += 1
            else:
                self.capacity.give_back(promise)
        return called, None

    def _call_up(self, waiting: Waiting, promise: str | None) -> bool:
        """Send one to a worker, with a sandbox promised to it; False if somebody else does."""
        now = self.clock()
        if not self.table.call_up(waiting, now, now + _CALLED):
            return False
        message = StartInvocation(invocation_id=waiting.invocation_id, counted=True, call_id=promise)
        self.queue.send(message, group=waiting.user_id)
        self.table.leave(waiting.place)
        return True

    def _in_turn(self) -> Iterator[Waiting]:
        """Yield who waits, the first first; those that were cancelled meanwhile go."""
        for waiting in self.table.heads(self.clock()):
            try:
                still = self.invocations.get(waiting.invocation_id).status == "queued"
            except NotFound:
                still = False
            if still:
                yield waiting
            else:
                self.table.leave(waiting.place)


def _turn(waiting: Waiting) -> int:
    return int(waiting.place.partition("#")[0])
