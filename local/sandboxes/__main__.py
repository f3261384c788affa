"""Starts the sandbox server: `python -m local.sandboxes --help`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from local.sandboxes.definition import load_definition
from local.sandboxes.engine import Engine, EngineError
from local.sandboxes.engines import make_engine
from local.sandboxes.rootfs import CACHE
from local.sandboxes.server import log
from local.sandboxes.server.app import make_app, start
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.settings import Settings
from local.sandboxes.server.snapshots import SnapshotCatalogue
from local.sandboxes.server.templates import base_template

_ENGINE_HELP = "what isolates: namespaces, or bare, which isolates nothing and is for benches (%(default)s)"


def main() -> int:
    """Serve until SIGTERM or SIGINT. Prints one JSON line on stdout when ready."""
    options = _parse(sys.argv[1:])
    log.configure()
    try:
        asyncio.run(_serve(options))
    except EngineError as error:
        print(f"The sandbox server can not start: {error}", file=sys.stderr)  # noqa: T201 - for a person
        return 1
    return 0


async def _serve(options: argparse.Namespace) -> None:
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
    layers = Layers(engine, catalogue, base_template(load_definition()))
    lifecycle = Lifecycle(engine, layers, settings)
    # A crash may have come between a layer and its entry in the catalogue.
    await layers.collect(())
    runner, url = await start(make_app(lifecycle, layers, settings.api_key), options.host, options.port)
    try:
        print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)  # noqa: T201 - whoever started us reads it
        log.event("ready", url=url, engine=options.engine)
        await _until_told_to_stop()
    finally:
        await lifecycle.close()
        await runner.cleanup()


async def _until_told_to_stop() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.sandboxes", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one (%(default)s)")
    add("--api-key-file", type=Path, required=True, help="file with the key that clients must send")
    add("--state-dir", type=Path, required=True, help="where snapshots are kept")
    add("--cache-dir", type=Path, default=CACHE, help="where root filesystems are kept (%(default)s)")
    add("--instance", default="main", help="name of this server among several on a host (%(default)s)")
    add("--engine", choices=["namespaces", "bare"], default="namespaces", help=_ENGINE_HELP)
    add("--pool", type=int, default=4, help="sandboxes prepared ahead of requests (%(default)s)")
    add("--relay", help="IP:PORT, the only place on this host that sandboxes may reach")
    add("--max-sandboxes", type=int, default=100, help="how many may run at once (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
