"""The control plane's routes for snapshots."""

from aiohttp import web

from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.registry import MAX_PAGE, read_cursor, write_cursor
from local.sandboxes.server.schemas import NewSnapshot, read_body
from local.sandboxes.server.snapshots import Snapshot
from local.sandboxes.server.templates import without_default_tag


class SnapshotRoutes:
    """Handlers for making, listing and deleting snapshots."""

    def __init__(self, layers: Layers, lifecycle: Lifecycle) -> None:
        self._layers, self._lifecycle = layers, lifecycle

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.post("/sandboxes/{id}/snapshots", self.create),
            web.get("/snapshots", self.list),
            web.delete("/templates/{id}", self.delete),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Keep a sandbox's filesystem."""
        wish = await read_body(request, NewSnapshot)
        sandbox = self._lifecycle.registry.get(request.match_info["id"])
        snapshot = await self._lifecycle.snapshot(sandbox, wish.name)
        return web.json_response(snapshot.to_json(), status=201)

    async def list(self, request: web.Request) -> web.Response:
        """List snapshots, the oldest first, a page at a time."""
        limit = request.query.get("limit", str(MAX_PAGE))
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
            raise ApiError(400, f"limit: must be a number from 1 to {MAX_PAGE}")
        after = read_cursor(request.query.get("nextToken", ""))
        wanted = sorted((each for each in self._layers.catalogue if _wants(request, each)), key=_position)
        rest = [each for each in wanted if after is None or _position(each) > after]
        page = rest[: int(limit)]
        more = {"x-next-token": write_cursor(*_position(page[-1]))} if len(rest) > len(page) else {}
        return web.json_response([each.to_json() for each in page], headers=more)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a snapshot by its id or name."""
        self._layers.delete(request.match_info["id"])
        await self._layers.collect(self._lifecycle.registry)
        return web.Response(status=204)


def _wants(request: web.Request, snapshot: Snapshot) -> bool:
    source, name = request.query.get("sandboxID"), request.query.get("name")
    return (not source or source == snapshot.source_sandbox_id) and (
        not name or snapshot.name == without_default_tag(name)
    )


def _position(snapshot: Snapshot) -> tuple[str, str]:
    return snapshot.created_at, snapshot.snapshot_id
