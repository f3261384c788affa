"""A sandbox server with small limits, so that using them up takes a moment.

Run as `python -m tests.attack.serve STATE INSTANCE NAMESERVER`, with the root filesystem built already.

It is made of the product's own parts, and differs from `python -m local.sandboxes` in its limits alone.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from local.sandboxes import rootfs
from local.sandboxes.definition import load_definition
from local.sandboxes.engine import Limits
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.settings import EngineSettings
from local.sandboxes.server import log
from local.sandboxes.server.app import make_app, start
from local.sandboxes.server.builds.archives import Archives
from local.sandboxes.server.builds.builder import Builder
from local.sandboxes.server.builds.catalogue import TemplateCatalogue
from local.sandboxes.server.builds.routes import TemplateRoutes
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.settings import Settings
from local.sandboxes.server.snapshots import SnapshotCatalogue
from local.sandboxes.server.templates import DEFAULT_ALIAS, Template

LIMITS = Limits(memory_mb=256, disk_mb=256, pids=128, open_files=4096)
API_KEY = "e2b_0123456789abcdef"


async def serve(state: Path, instance: str, nameserver: str) -> None:
    """Serve until SIGTERM. Prints one JSON line when ready."""
    log.configure()
    definition = load_definition()
    root = rootfs.build(definition, rootfs.CACHE)
    settings = EngineSettings(
        instance, state, root, pool_size=2, limits=LIMITS, disk_gb=4, nameservers=(nameserver,)
    )
    engine = NamespaceEngine(settings)
    await engine.start()
    try:
        template = Template(definition.name, (DEFAULT_ALIAS,), limits=LIMITS)
        snapshots = SnapshotCatalogue(state / "snapshots.json")
        layers = Layers(engine, snapshots, TemplateCatalogue(state / "templates.json"), template)
        lifecycle = Lifecycle(engine, layers, Settings(API_KEY, state))
        archives = Archives(state / "uploads", API_KEY)
        builder = Builder(lifecycle, layers, archives, definition)
        templates = TemplateRoutes(layers, lifecycle, archives, builder)
        runner, url = await start(make_app(lifecycle, layers, API_KEY, templates), "127.0.0.1", 0)
        print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await templates.close()
        await lifecycle.close()
        await runner.cleanup()
    finally:
        await engine.close()


if __name__ == "__main__":
    state_dir, instance_name, nameserver_address = sys.argv[1:]
    asyncio.run(serve(Path(state_dir), instance_name, nameserver_address))
