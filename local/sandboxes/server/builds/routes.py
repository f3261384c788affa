"""The control plane's routes for templates: built, asked for, tagged."""

import asyncio
import uuid
from urllib.parse import urlencode

from aiohttp import web

from local.sandboxes.server.builds.archives import Archives
from local.sandboxes.server.builds.builder import Builder
from local.sandboxes.server.builds.catalogue import Built, Entry
from local.sandboxes.server.builds.recipe import Recipe
from local.sandboxes.server.builds.record import Build
from local.sandboxes.server.builds.schemas import AssignTags, NewBuild, RemoveTags
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.schemas import read_body
from local.sandboxes.server.templates import DEFAULT_TAG

_BUILDS_KEPT = 100


class TemplateRoutes:
    """Handlers of everything about templates but their deletion."""

    def __init__(self, layers: Layers, lifecycle: Lifecycle, archives: Archives, builder: Builder) -> None:
        self._layers, self._lifecycle = layers, lifecycle
        self._archives, self._builder = archives, builder
        self._builds: dict[str, Build] = {}
        self._running: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.post("/v3/templates", self.request_build),
            web.get("/templates/aliases/{alias:.+}", self.find_alias),
            web.post("/templates/tags", self.assign_tags),
            web.delete("/templates/tags", self.remove_tags),
            web.get("/templates/{id}/tags", self.list_tags),
            web.get("/templates/{id}/files/{hash:[0-9a-f]+}", self.find_files),
            web.put("/templates/{id}/files/{hash:[0-9a-f]+}", self.upload_files),
            web.post("/v2/templates/{id}/builds/{build}", self.start_build),
            web.get("/templates/{id}/builds/{build}/status", self.build_status),
        ]

    async def request_build(self, request: web.Request) -> web.Response:
        """Note a build that is to come, and say its ids."""
        wish = await read_body(request, NewBuild)
        name, _, tag = wish.name.partition(":")
        if name in self._layers.base.names:
            raise ApiError(400, f"name: '{name}' is the server's own template, take another")
        tags = list(dict.fromkeys([*([tag] if tag else []), *(wish.tags or [])])) or [DEFAULT_TAG]
        limits = wish.limits(self._layers.base.limits)
        build = Build(str(uuid.uuid4()), self._layers.templates.reserve(name), tags, limits)
        self._builds[build.build_id] = build
        for old in list(self._builds)[:-_BUILDS_KEPT]:
            del self._builds[old]
        answer = {"templateID": build.template_id, "buildID": build.build_id, "public": False}
        return web.json_response(answer | {"names": [name], "aliases": [name], "tags": tags}, status=202)

    async def find_files(self, request: web.Request) -> web.Response:
        """Tell whether files are there already, and where to put them."""
        query = urlencode(self._archives.query(request.path))
        url = f"{request.scheme}://{request.host}{request.rel_url.raw_path}?{query}"
        present = self._archives.has(request.match_info["hash"])
        return web.json_response({"present": present, "url": url}, status=201)

    async def upload_files(self, request: web.Request) -> web.Response:
        """Take files in."""
        await self._archives.store(request.match_info["hash"], request.content.iter_any())
        return web.Response(status=200)

    async def start_build(self, request: web.Request) -> web.Response:
        """Begin a build."""
        build = self._build(request)
        recipe = await read_body(request, Recipe)
        if build.status != "waiting":
            raise ApiError(409, f"build {build.build_id} has begun already")
        hashes = [step.files_hash for step in recipe.steps if step.type == "COPY"]
        if missing := [each for each in hashes if each and not self._archives.has(each)]:
            raise ApiError(400, f"the files {missing[0]} of a COPY step were not uploaded")
        task = asyncio.create_task(self._builder.build(build, recipe))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return web.Response(status=202)

    async def build_status(self, request: web.Request) -> web.Response:
        """Tell how a build is doing."""
        offset = request.query.get("logsOffset", "0")
        if not offset.isdecimal():
            raise ApiError(400, "logsOffset: must be a number from 0 on")
        return web.json_response(self._build(request).to_json(int(offset)))

    async def find_alias(self, request: web.Request) -> web.Response:
        """Tell whether a name is taken."""
        template = self._layers.find_template(request.match_info["alias"])
        return web.json_response({"templateID": template.template_id, "public": False})

    async def assign_tags(self, request: web.Request) -> web.Response:
        """Give a build more tags."""
        wish = await read_body(request, AssignTags)
        found = self._layers.templates.find_built(wish.target)
        if found is None:
            raise ApiError(404, f"target: there is no build '{wish.target}'")
        entry, built = found
        self._layers.templates.tag(entry, built, wish.tags)
        await self._layers.collect(self._lifecycle.registry)
        return web.json_response(_tagged(built, wish.tags), status=201)

    async def remove_tags(self, request: web.Request) -> web.Response:
        """Take tags away."""
        wish = await read_body(request, RemoveTags)
        entry = self._entry(wish.name)
        if unknown := [tag for tag in wish.tags if tag not in entry.tags]:
            raise ApiError(404, f"tags: template '{wish.name}' has no tag '{unknown[0]}'")
        self._layers.templates.untag(entry, wish.tags)
        await self._layers.collect(self._lifecycle.registry)
        return web.Response(status=204)

    async def list_tags(self, request: web.Request) -> web.Response:
        """List a template's tags."""
        tags = self._entry(request.match_info["id"]).tags
        return web.json_response(
            [
                {"tag": name, "buildID": each.build_id, "createdAt": each.created_at}
                for name, each in tags.items()
            ]
        )

    def is_open(self, request: web.Request) -> bool:
        """Whether a request needs no key: uploads go to signed URLs."""
        return self._archives.is_open(request)

    async def close(self) -> None:
        """Give up the builds that run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _build(self, request: web.Request) -> Build:
        build = self._builds.get(request.match_info["build"])
        if build is None or build.template_id != request.match_info["id"]:
            raise ApiError(404, f"build {request.match_info['build']} not found")
        return build

    def _entry(self, name: str) -> Entry:
        entry = self._layers.templates.find(name)
        if entry is None:
            raise ApiError(404, f"template '{name}' not found")
        return entry


def _tagged(built: Built, tags: list[str]) -> dict[str, object]:
    return {"buildID": built.build_id, "tags": tags}
