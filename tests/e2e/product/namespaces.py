"""Network namespaces with a link to the host, for servers that must not be on the host itself."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def linked_namespace(prefix: str, host: str, server: str) -> Iterator[str]:
    """Make a namespace that is linked to the host by two addresses of one /30. Needs root."""
    name = f"{prefix}{secrets.token_hex(3)}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{host}/30", "dev", f"{name}h")
        _ip("link", "set", f"{name}h", "up")
        _ip("-n", name, "addr", "add", f"{server}/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        yield name
    finally:
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
