"""Runs the sandbox server: engine, control plane and HTTP, put together and taken down again."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
from typing import cast

from local.sandboxes.definition import load_definition
from local.sandboxes.engine import Engine
from local.sandboxes.engines import make_engine
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
from local.sandboxes.server.templates import base_template


def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises `EngineError` if the engine can not start."""
    log.configure()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    _end_when_told()
    options.state_dir.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        api_key=options.api_key_file.read_text().strip(),
        state_dir=options.state_dir,
        max_sandboxes=options.max_sandboxes,
    )
    engine = await make_engine(options)
    await engine.start()
    try:
        await _serve_engine(engine, settings, options)
    finally:
        await engine.close()


async def _serve_engine(engine: Engine, settings: Settings, options: argparse.Namespace) -> None:
    catalogue = SnapshotCatalogue(settings.state_dir / "snapshots.json")
    built = TemplateCatalogue(settings.state_dir / "templates.json")
    layers = Layers(engine, catalogue, built, base_template(load_definition()))
    lifecycle = Lifecycle(engine, layers, settings)
    templates = _template_routes(layers, lifecycle, settings) if options.engine != "bare" else None
    # A crash may have come between a layer and its entry in the catalogue.
    await layers.collect(())
    app = make_app(lifecycle, layers, settings.api_key, templates)
    runner, url = await start(app, options.host, options.port)
    try:
        print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)  # noqa: T201 - whoever started us reads it
        log.event("ready", url=url, engine=options.engine)
        await asyncio.Event().wait()
    finally:
        if templates:
            await templates.close()
        await lifecycle.close()
        await runner.cleanup()


def _template_routes(layers: Layers, lifecycle: Lifecycle, settings: Settings) -> TemplateRoutes:
    # Not over the bare engine: there, the steps would be taken on the host.
    archives = Archives(settings.state_dir / "uploads", settings.api_key)
    builder = Builder(lifecycle, layers, archives, load_definition())
    return TemplateRoutes(layers, lifecycle, archives, builder)


def _end_when_told() -> None:
    """Let the first signal cancel the calling task, wherever it is: its `finally` clauses clean the host."""
    serving = cast("asyncio.Task[None]", asyncio.current_task())

    def end() -> None:
        if not serving.cancelling():
            serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
