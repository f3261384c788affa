"""Finds the node that sandboxes run, so that the host's side of a ratio runs the very same binary."""

from pathlib import Path

from local.sandboxes.rootfs import CACHE

_BINARY = "os-*/usr/local/lib/node_modules/node-linux-*/bin/node"


class NodeMissing(Exception):
    """No root filesystem has been built yet."""


def sandbox_node(cache: Path = CACHE) -> Path:
    """Return the binary of the newest root filesystem in `cache`. Raises `NodeMissing`."""
    found = sorted(cache.glob(_BINARY), key=lambda path: path.stat().st_mtime)
    if not found:
        raise NodeMissing("no root filesystem is built: run `make up` once, as root")
    return found[-1]
