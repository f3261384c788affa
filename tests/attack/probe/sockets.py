"""Attempts to make sockets of kinds that an agent has no use for."""

import socket

from .attempts import Refused, attempt
from .targets import Target

_NETLINK_NETFILTER, _NETLINK_KOBJECT_UEVENT, _NETLINK_AUDIT = 12, 15, 9
_RARE = {
    "key": 15,
    "x25": 9,
    "tipc": 30,
    "rds": 21,
    "can": 29,
    "bluetooth": 31,
    "xdp": 44,
    "vsock": 40,
    "alg": 38,
}
_ABSENT = ("EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT")


def _make(family: int, kind: int, protocol: int = 0) -> str:
    with socket.socket(family, kind, protocol):
        return f"made a socket of family {family}, type {kind}, protocol {protocol}"


@attempt("EPERM", weakness="root")
def make_raw_socket(target: Target) -> str:  # noqa: ARG001
    """Make a socket that sends IP packets as one likes."""
    return _make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@attempt(*_ABSENT, weakness="root")
def make_raw_ipv6_socket(target: Target) -> str:  # noqa: ARG001
    """The same for IPv6."""
    return _make(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)


@attempt("EPERM", "EAFNOSUPPORT", weakness="root")
def make_packet_socket(target: Target) -> str:  # noqa: ARG001
    """Make a socket that sees and sends whole frames."""
    return _make(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))


@attempt(*_ABSENT, weakness="root")
def change_firewall(target: Target) -> str:  # noqa: ARG001
    """Talk to the packet filter."""
    return _make(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)


@attempt(*_ABSENT, weakness="root")
def listen_to_devices(target: Target) -> str:  # noqa: ARG001
    """Listen to the kernel's announcements of devices, and so be able to forge them."""
    return _make(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_KOBJECT_UEVENT)


@attempt(*_ABSENT, weakness="root")
def talk_to_audit(target: Target) -> str:  # noqa: ARG001
    """Talk to the kernel's audit service."""
    return _make(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_AUDIT)


@attempt(*_ABSENT, "ESOCKTNOSUPPORT", weakness="root")
def make_rare_socket(target: Target) -> str:  # noqa: ARG001
    """Make a socket of a family whose code is old, little used, or reaches the hypervisor."""
    refusal: OSError | Refused = Refused("nothing to try")
    for family in _RARE.values():
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                return _make(family, kind)
            except OSError as error:
                refusal = error
    raise refusal


@attempt("EPERM", weakness="root")
def mark_packets(target: Target) -> str:  # noqa: ARG001
    """Mark one's packets, by which a host's rules could tell friend from foe."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
    return "marked a socket's packets"
