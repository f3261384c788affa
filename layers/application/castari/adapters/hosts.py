"""Names of hosts that strangers give us, resolved, and refused where they do not lead to the internet."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from castari.errors import Unprocessable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, for a TCP port. Raises `OSError`."""

# This network, private, carrier-grade NAT, loopback, link-local (cloud metadata), benchmarks, multicast.
_UNREACHABLE = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
    )
)  # fmt: skip
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
# Teredo and 6to4 carry an IPv4 address, which may be any.
_TUNNELS_V6 = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))


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
        if not _is_public(address):
            raise Unprocessable(f"the host `{host}` leads to a private address")
    return addresses


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _UNREACHABLE)
    return parsed in _GLOBAL_V6 and not any(parsed in network for network in _TUNNELS_V6)
