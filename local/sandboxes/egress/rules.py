"""Where a sandbox may go, as its policy writes it: networks, and names of hosts."""

import ipaddress
import re

# This network, private, carrier-grade NAT (sandboxes themselves), loopback, link-local (cloud
# metadata), multicast and reserved. The documentation ranges are left open: some hosts
# have their package mirrors there.
UNREACHABLE = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.168.0.0/16", "224.0.0.0/3",
        ),
    )
)  # fmt: skip
"""What no policy opens."""

EVERYWHERE = ipaddress.IPv4Network("0.0.0.0/0")

_MAX_NAME = 253
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(\*\.)?({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?")


def parse_network(text: str) -> ipaddress.IPv4Network:
    """Read an IPv4 address or CIDR block. Raises `ValueError` that says what to write."""
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"egress rule {text!r}: use an IPv4 address or CIDR block") from None


def is_name(text: str) -> bool:
    """Tell whether a rule names hosts: `example.com`, or `*.example.com` for all below it."""
    name = text.lower()
    return len(name) <= _MAX_NAME and _NAME.fullmatch(name) is not None


def allows(rules: tuple[str, ...], name: str) -> bool:
    """Tell whether a host's name is among `rules`; a wildcard stands for one label or more."""
    wanted = name.lower().removesuffix(".")
    return any(_fits(rule.lower(), wanted) for rule in rules)


def is_reachable(address: str) -> bool:
    """Tell whether a sandbox may be connected with this IPv4 address, whatever its policy."""
    return not any(ipaddress.IPv4Address(address) in network for network in UNREACHABLE)


def _fits(rule: str, name: str) -> bool:
    if rule.startswith("*."):
        return name.endswith(rule[1:]) and len(name) > len(rule) - 1
    return name == rule
