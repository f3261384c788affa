"""Picks the engine that a server runs on."""

import argparse

from local.sandboxes.bare.engine import BareEngine
from local.sandboxes.engine import Engine, EngineError


def make_engine(options: argparse.Namespace) -> Engine:
    """Make the engine that the command line names. Raises `EngineError`."""
    if options.engine == "bare":
        return BareEngine(options.state_dir)
    raise EngineError("the namespaces engine is missing")
