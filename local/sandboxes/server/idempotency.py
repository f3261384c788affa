"""Repeated requests: the same key and body get the first request's answer."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from local.sandboxes.server.errors import ApiError

MAX_KEYS = 10_000

Answer = dict[str, Any]


class Idempotency:
    """Remembers the latest keys with what was asked and answered."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[bytes, asyncio.Task[Answer]]] = OrderedDict()

    async def once(
        self, key: str | None, body: bytes, work: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """Do the work unless it was done under this key. Raises `ApiError` if the body differs."""
        if key is None:
            return await work()
        digest = hashlib.sha256(body).digest()
        if key not in self._known:
            self._remember(key, digest, asyncio.create_task(work()))
        known, task = self._known[key]
        if known != digest:
            raise ApiError(422, "this Idempotency-Key was used with another body: use a new one")
        return await asyncio.shield(task)

    def _remember(self, key: str, digest: bytes, task: asyncio.Task[Answer]) -> None:
        self._known[key] = digest, task
        task.add_done_callback(lambda done: self._forget_failure(key, done))
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)

    def _forget_failure(self, key: str, task: asyncio.Task[Answer]) -> None:
        if task.cancelled() or task.exception():
            self._known.pop(key, None)
