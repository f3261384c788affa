"""Picks the engine that a server runs on."""

import argparse
import asyncio

from local.sandboxes.bare.engine import BareEngine
from local.sandboxes.definition import load_definition
from local.sandboxes.engine import Engine, EngineError
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.preflight import find_problems
from local.sandboxes.namespaces.settings import EngineSettings
from local.sandboxes.rootfs import build
from local.sandboxes.server import log


async def make_engine(options: argparse.Namespace) -> Engine:
    """Make the engine that the command line names. Builds the root filesystem if need be.

    Raises `EngineError` if this host cannot run it.
    """
    if options.engine == "bare":
        return BareEngine(options.state_dir)
    if problems := find_problems():
        raise EngineError("\n".join(problems))
    root = await asyncio.to_thread(build, load_definition(), options.cache_dir, _tell_progress)
    relay_port = int(options.relay.rpartition(":")[2]) if options.relay else None
    return NamespaceEngine(
        EngineSettings(options.instance, options.state_dir, root, options.pool, relay_port=relay_port)
    )


def _tell_progress(step: str, seconds: float) -> None:
    log.event("root filesystem", step=step, seconds=round(seconds, 1))
