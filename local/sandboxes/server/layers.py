"""Snapshots of sandboxes, and which layers of the engine are still needed."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from local.sandboxes.engine import BASE_LAYER, Engine, EngineError
from local.sandboxes.server import log
from local.sandboxes.server.access import new_id
from local.sandboxes.server.builds.catalogue import TemplateCatalogue
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.snapshots import Snapshot, SnapshotCatalogue, now
from local.sandboxes.server.templates import Template, without_default_tag


class Layers:
    """Turns sandboxes into templates, and removes the layers that nothing stands on any more."""

    def __init__(
        self, engine: Engine, catalogue: SnapshotCatalogue, templates: TemplateCatalogue, base: Template
    ) -> None:
        self.catalogue, self.templates, self.base = catalogue, templates, base
        self._engine = engine
        self._being_made: set[str] = set()
        self._collecting = asyncio.Lock()

    def find_template(self, name: str) -> Template:
        """Find what a client named. Raises `ApiError`."""
        if without_default_tag(name) in self.base.names:
            return self.base
        snapshot = self.catalogue.find(name)
        template = snapshot.to_template() if snapshot else self.templates.find_template(name)
        if template and self.exist(template.layers):
            return template
        known = "' or '".join(self.base.names)
        raise ApiError(
            404, f"template '{name}' not found: use '{known}', the id of a snapshot, or build it first"
        )

    def exist(self, layers: Iterable[str]) -> bool:
        """Whether the engine still has all of these."""
        return self._engine.layers() >= set(layers)

    async def snapshot(self, sandbox: Sandbox, name: str | None) -> Snapshot:
        """Keep a sandbox's filesystem. Raises `ApiError`."""
        layer = new_id("s")
        self._being_made.add(layer)
        try:
            await sandbox.guest.snapshot(layer)
            made = _describe(sandbox, layer, name)
            self.catalogue.add(made)
        except EngineError as error:
            raise ApiError(503, f"the snapshot could not be made: {error}") from error
        finally:
            self._being_made.discard(layer)
        sandbox.journal.tell("snapshot_created", snapshot_id=layer)
        return made

    @asynccontextmanager
    async def kept(self, sandbox: Sandbox) -> AsyncIterator[tuple[str, ...]]:
        """The layers that a sandbox's filesystem is now; they stay if something notes them in the block."""
        layer = new_id("s")
        self._being_made.add(layer)
        try:
            await sandbox.guest.snapshot(layer)
            yield (layer, *sandbox.guest.spec.layers)
        except EngineError as error:
            raise ApiError(503, f"the filesystem could not be kept: {error}") from error
        finally:
            self._being_made.discard(layer)

    @asynccontextmanager
    async def fork_of(self, sandbox: Sandbox) -> AsyncIterator[Template]:
        """What copies of a sandbox start from; kept after the block only under those that were made."""
        async with self.kept(sandbox) as layers:
            yield replace(sandbox.template, layers=layers)

    def delete(self, name: str) -> None:
        """Forget a snapshot, or a built template. Raises `ApiError` if there is none."""
        snapshot = self.catalogue.find(name)
        if snapshot is None:
            if not self.templates.remove(name):
                raise ApiError(404, f"template '{name}' not found")
            log.event("template_deleted", template=name)
            return
        self.catalogue.remove(snapshot)
        log.event("snapshot_deleted", snapshot_id=snapshot.snapshot_id)

    def keeps(self, sandbox: Sandbox) -> bool:
        """Whether all that the sandbox stands on is needed without it, too."""
        return self._needed(()) >= set(sandbox.guest.spec.layers)

    async def collect(self, running: Iterable[Sandbox]) -> None:
        """Delete the layers under no snapshot and no sandbox; a sandbox may yet become a snapshot."""
        async with self._collecting:
            for layer in self._engine.layers():
                if layer not in self._needed(running):
                    await self._engine.delete_layer(layer)

    def _needed(self, running: Iterable[Sandbox]) -> set[str]:
        kept = {BASE_LAYER} | {layer for snapshot in self.catalogue for layer in snapshot.layers}
        return kept.union(
            self._being_made, self.templates.layers(), *(sandbox.guest.spec.layers for sandbox in running)
        )


def _describe(sandbox: Sandbox, layer: str, name: str | None) -> Snapshot:
    spec = sandbox.guest.spec
    return Snapshot(
        snapshot_id=layer,
        layers=(layer, *spec.layers),
        source_sandbox_id=sandbox.sandbox_id,
        created_at=now(),
        limits=spec.limits,
        privileges=spec.privileges,
        name=without_default_tag(name) if name else None,
        runtime=sandbox.template.runtime,
    )
