"""Names of hosts that strangers give us, resolved, and refused where they do not lead to the internet."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from castari.addresses import is_global
from castari.errors import Unprocessable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, for a TCP port. Raises `OSError`."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def public_addresses(host: str, port: int, resolve: Resolve = resolve) -> Sequence[str]:
    """Return a host's addresses. Raises `Unprocessable` if there are none, or if one is not public."""
    try:
        addresses = await resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise Unprocessable(f"the host `{host}` cannot be found") from error
    for address in addresses:
        if not is_global(address):
            raise Unprocessable(f"the host `{host}` leads to a private address")
    return addresses
