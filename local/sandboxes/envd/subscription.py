"""One listener of a process or a watch: a short queue of events, so that a slow reader slows it down."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from local.sandboxes.envd.connect import Last, frame

MAX_EVENTS = 64
"""How many events may wait for a listener before its process's output is left in the pipe."""

KEEPALIVE = frame(b'{"event":{"keepalive":{}}}')


class Subscription:
    """Events on their way to one stream. Ends after `finish`, or with the error given to it."""

    def __init__(self, on_room: Callable[[], None], keepalive: bytes = KEEPALIVE) -> None:
        self._keepalive = keepalive
        self._events: deque[bytes] = deque()
        self._on_room = on_room
        self._wake: asyncio.Future[bool] | None = None
        self._finished = False
        self._error: Exception | None = None

    @property
    def full(self) -> bool:
        """Whether no more output should be read for now."""
        return len(self._events) >= MAX_EVENTS

    def put(self, event: bytes) -> None:
        """Queue an event's frame; nothing after the end."""
        if not self._finished:
            self._events.append(event)
            self._notify()

    def finish(self, error: Exception | None = None) -> None:
        """End the stream after what is queued; the first end counts."""
        if not self._finished:
            self._finished, self._error = True, error
            self._notify()

    async def frames(self, keepalive_seconds: float) -> AsyncIterator[bytes]:
        """Yield events as they come, and a keepalive whenever none came for that long."""
        while True:
            while self._events:
                yield self._next()
            if self._finished:
                break
            if not await self._event_within(keepalive_seconds):
                yield self._keepalive
        if self._error:
            raise self._error

    async def batches(self, keepalive_seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the same, the events of one moment in one piece and the end's as `Last`: a packet each."""
        while not (self._finished and self._error is None):
            if self._events:
                yield self._next()
            elif self._error:
                raise self._error
            elif not await self._event_within(keepalive_seconds):
                yield self._keepalive
        yield Last(b"".join(self._events))

    def _next(self) -> bytes:
        was_full = self.full
        event = self._events.popleft()
        if was_full:
            self._on_room()
        return event

    async def _event_within(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        silence = loop.call_later(seconds, self._end_wait, False)
        try:
            return await self._wake
        finally:
            silence.cancel()
            self._wake = None

    def _notify(self) -> None:
        self._end_wait(True)

    def _end_wait(self, came: bool) -> None:
        if self._wake and not self._wake.done():
            self._wake.set_result(came)
