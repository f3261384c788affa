"""Which addresses are the internet's own: those that no special-purpose registry of IANA sets apart."""

import ipaddress

_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        # This network, private, carrier-grade NAT, loopback, link-local (cloud metadata), protocols.
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.168.0.0/16",
        # Documentation, relays of 6to4, benchmarking, and from multicast on all that is reserved.
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/3",
    )
)  # fmt: skip
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
"""All else is local, multicast, unassigned, or an IPv4 address in another form."""
_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(network)
    # Protocol assignments with Teredo among them, documentation, and 6to4: two carry an IPv4 address.
    for network in ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")
)


def is_global(address: str) -> bool:
    """Tell whether the text is an address in its usual spelling that leads to somewhere on the internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _SPECIAL_V4)
    return (
        parsed.scope_id is None
        and parsed in _UNICAST_V6
        and not any(parsed in network for network in _SPECIAL_V6)
    )


def is_loopback(address: str) -> bool:
    """Tell whether the text is an address of this machine alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
