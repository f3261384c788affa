"""The control plane's routes that tell of sandboxes: what happened to them, and what they used."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, cast

from aiohttp import web

from local.sandboxes.engine import EngineError
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.history import keep_measuring
from local.sandboxes.server.journal import LEVELS, MAX_ENTRIES, Level, Search
from local.sandboxes.server.lifecycle import Lifecycle

MAX_IDS = 100


class ObservationRoutes:
    """Handlers for logs and metrics."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/sandboxes/metrics", self.metrics_of_many),
            web.get("/sandboxes/{id}/metrics", self.metrics),
            web.get("/sandboxes/{id}/logs", self.lines),
            web.get("/v2/sandboxes/{id}/logs", self.entries),
        ]

    async def measuring(self, _: web.Application) -> AsyncIterator[None]:
        """Take samples for as long as the application runs."""
        task = asyncio.create_task(keep_measuring(self._lifecycle.registry))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def metrics(self, request: web.Request) -> web.Response:
        """Tell what a sandbox used in a span, up to now."""
        history = self._lifecycle.registry.get(request.match_info["id"]).history
        now = int(time.time())
        start, end = _number(request.query, "start", 0), _number(request.query, "end", now)
        if start > end:
            raise ApiError(400, "start: must not be after end")
        with suppress(EngineError):  # It ended meanwhile; what it used before is still known.
            latest = await history.measure()
            found = list(history.between(start, end))
            if start <= now <= end and latest not in found:
                found.append(latest)
            return web.json_response(history.to_json(found))
        return web.json_response(history.to_json(history.between(start, end)))

    async def metrics_of_many(self, request: web.Request) -> web.Response:
        """Tell what each of several sandboxes uses now; one that is gone is left out."""
        ids = [each for each in request.query.get("sandbox_ids", "").split(",") if each]
        if not 1 <= len(ids) <= MAX_IDS:
            raise ApiError(400, f"sandbox_ids: must name 1 to {MAX_IDS} sandboxes")
        told: dict[str, Any] = {}
        for sandbox_id in ids:
            if sandbox := self._lifecycle.registry.find(sandbox_id):
                with suppress(EngineError):
                    (told[sandbox_id],) = sandbox.history.to_json([await sandbox.history.measure()])
        return web.json_response({"sandboxes": told})

    async def lines(self, request: web.Request) -> web.Response:
        """Tell what happened to a sandbox, as lines and as objects."""
        query = request.query
        cursor = _number(query, "start", 0) if "start" in query else None
        found = Search(cursor, _limit(query)).of(self._lifecycle.journal(request.match_info["id"]))
        return web.json_response(
            {"logs": [each.to_line() for each in found], "logEntries": [each.to_json() for each in found]}
        )

    async def entries(self, request: web.Request) -> web.Response:
        """Tell what happened to a sandbox, forward or backward from a time."""
        query = request.query
        wish = Search(
            cursor=_number(query, "cursor", 0) if "cursor" in query else None,
            limit=_limit(query),
            backward=_one_of(query, "direction", ("forward", "backward")) == "backward",
            level=cast("Level", _one_of(query, "level", LEVELS)),
            text=query.get("search", ""),
        )
        found = wish.of(self._lifecycle.journal(request.match_info["id"]))
        return web.json_response({"logs": [each.to_json() for each in found]})


def _limit(query: Mapping[str, str]) -> int:
    limit = _number(query, "limit", MAX_ENTRIES)
    if limit > MAX_ENTRIES:
        raise ApiError(400, f"limit: {MAX_ENTRIES} at most")
    return limit


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not text.isascii():
        raise ApiError(400, f"{name}: must be a whole number")
    return int(text)


def _one_of(query: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = query.get(name, values[0])
    if value not in values:
        raise ApiError(400, f"{name}: must be one of {', '.join(values)}")
    return value
