"""Attempts to connect to what a sandbox must not reach."""

import errno
import os
import select
import socket
import struct
import sys
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

from .attempts import Refused, attempt, reason_of
from .targets import Place, Target

BANNER = b"castari stand-in"
"""What every stand-in says first, so that a success is known to be one."""

_WAIT_SECONDS = 1.0
_SILENT = "no answer"
_CLOSED = (_SILENT, "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "EACCES", "EPERM", "EADDRNOTAVAIL")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ip_address(host.partition("%")[0]).version == 6 else socket.AF_INET


def _talk(place: Place, kind: socket.SocketKind) -> socket.socket:
    """Start to talk to a place without waiting for it. Raises `OSError` if that is refused at once."""
    speaker = socket.socket(_family(place[0]), kind)
    try:
        speaker.setblocking(False)
        with suppress(BlockingIOError):
            speaker.connect(place)
        if kind == socket.SOCK_DGRAM:
            speaker.send(b"who is there")
    except OSError:
        speaker.close()
        raise
    return speaker


def reach(places: tuple[Place, ...], kind: socket.SocketKind = socket.SOCK_STREAM) -> str:
    """Talk to all places at once; return the first that answers as a stand-in, or raise the last refusal."""
    refusal: OSError | Refused = Refused(_SILENT)
    waiting: dict[int, tuple[socket.socket, Place]] = {}
    poll = select.poll()
    with ExitStack() as stack:
        for place in places:
            try:
                speaker = stack.enter_context(_talk(place, kind))
            except OSError as error:
                refusal = error
                continue
            waiting[speaker.fileno()] = speaker, place
            poll.register(speaker, select.POLLIN)
        while waiting and (ready := poll.poll(_WAIT_SECONDS * 1000)):
            for descriptor, _ in ready:
                poll.unregister(descriptor)
                speaker, place = waiting.pop(descriptor)
                try:
                    if speaker.recv(64).startswith(BANNER):
                        return f"{place[0]} port {place[1]} answered"
                except BlockingIOError:
                    refusal = _error_told(speaker)
                except OSError as error:
                    refusal = error
    raise refusal


def _error_told(speaker: socket.socket) -> OSError:
    """The error that a router told about a packet; a busy socket keeps it in a queue of its own."""
    _, ancillary, _, _ = speaker.recvmsg(64, 256, socket.MSG_ERRQUEUE)
    code = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
    return OSError(code, os.strerror(code))


def _reach_all(target: Target, name: str) -> str:
    return reach(target.places[name])


@attempt(*_CLOSED, weakness="root")
def reach_metadata_service(target: Target) -> str:
    """Connect to 169.254.169.254, where clouds hand out the host's credentials."""
    return _reach_all(target, "metadata")


@attempt(*_CLOSED, weakness="root")
def reach_metadata_service_by_datagram(target: Target) -> str:
    """Ask it without a connection."""
    return reach(target.places["metadata"], socket.SOCK_DGRAM)


@attempt(*_CLOSED, weakness="root")
def reach_metadata_service_by_mapped_address(target: Target) -> str:
    """Connect to it under its IPv6 name."""
    return reach(tuple((f"::ffff:{host}", port) for host, port in target.places["metadata"]))


@attempt(*_CLOSED, weakness="root")
def reach_private_hosts(target: Target) -> str:
    """Connect to hosts in the private ranges."""
    return _reach_all(target, "private")


@attempt(*_CLOSED, weakness="root")
def reach_private_hosts_by_datagram(target: Target) -> str:
    """Ask them without a connection."""
    return reach(target.places["private"], socket.SOCK_DGRAM)


@attempt(*_CLOSED, weakness="root")
def reach_private_name_server(target: Target) -> str:
    """Ask a private host on the port of DNS, which firewalls like to leave open."""
    return _reach_all(target, "private_dns")


@attempt(*_CLOSED, weakness="root")
def reach_private_name_server_by_datagram(target: Target) -> str:
    """The same without a connection, as DNS does."""
    return reach(target.places["private_dns"], socket.SOCK_DGRAM)


@attempt(*_CLOSED, weakness="root")
def reach_carrier_range(target: Target) -> str:
    """Connect into 100.64.0.0/10, where some clouds keep their metadata service."""
    return _reach_all(target, "carrier")


@attempt(*_CLOSED, weakness="root")
def reach_host_addresses(target: Target) -> str:
    """Connect to services of the host on each of its addresses."""
    return _reach_all(target, "host")


@attempt(*_CLOSED, weakness="root")
def reach_host_addresses_by_datagram(target: Target) -> str:
    """Ask services of the host without a connection."""
    return reach(target.places["host"], socket.SOCK_DGRAM)


@attempt(*_CLOSED, "EINVAL", weakness="root")
def reach_gateway(target: Target) -> str:
    """Connect to services of the host on the sandbox's own gateway."""
    return reach(tuple((_gateway(), port) for _, port in target.places["host"]))


def _gateway() -> str:
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        _, destination, gateway, *_ = line.split()
        if destination == "00000000":
            return socket.inet_ntoa(struct.pack("<I", int(gateway, 16)))
    raise Refused("ENETUNREACH", "no default route")


@attempt(*_CLOSED, weakness="root")
def reach_services_on_loopback(target: Target) -> str:
    """Connect to what the host serves on its loopback, all over 127.0.0.0/8, and on ::1."""
    hosts = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0", "::1")  # noqa: S104
    ports = {port for _, port in target.places["loopback"]}
    return reach(tuple((host, port) for host in hosts for port in ports))


@attempt(*_CLOSED, weakness="root")
def reach_control_api(target: Target) -> str:
    """Connect to the server that manages the sandboxes, wherever it may listen."""
    hosts = {host for name in ("host", "loopback") for host, _ in target.places[name]}
    gateway = set()
    with suppress(Refused):
        gateway.add(_gateway())
    ports = {port for _, port in target.places["control_api"]}
    return reach(tuple((host, port) for host in sorted(hosts | gateway) for port in ports))


@attempt(*_CLOSED, weakness="root")
def reach_neighbour(target: Target) -> str:
    """Connect to a service in another sandbox."""
    return _reach_all(target, "neighbour")


@attempt(*_CLOSED, weakness="root")
def reach_neighbour_by_datagram(target: Target) -> str:
    """Ask a service in another sandbox without a connection."""
    return reach(target.places["neighbour"], socket.SOCK_DGRAM)


@attempt(*_CLOSED, weakness="root")
def scan_own_subnet(target: Target) -> str:
    """Try every address around one's own."""
    own = int(ip_address(_own_address(target)))
    start = own & ~0xFF
    ports = {target.places["neighbour"][0][1], target.places["host"][0][1]}
    around = [str(ip_address(start + offset)) for offset in range(256) if start + offset != own]
    return reach(tuple((host, port) for host in around for port in ports))


def _own_address(target: Target) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(target.places["internet"][0])  # sends nothing
        host: str = asker.getsockname()[0]
        return host


@attempt(*_CLOSED, "EINVAL", weakness="root")
def reach_hosts_by_ipv6(target: Target) -> str:
    """Connect over IPv6, for which firewalls are often forgotten."""
    return _reach_all(target, "ipv6")


@attempt(*_CLOSED, "EINVAL", weakness="root")
def reach_all_nodes_by_ipv6(target: Target) -> str:
    """Ask everybody on the link at once."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        asker.settimeout(_WAIT_SECONDS)
        for link in (index for index, name in socket.if_nameindex() if name != "lo"):
            asker.sendto(b"who is there", ("ff02::1", target.places["host"][0][1], 0, link))
        try:
            answer, (host, *_) = asker.recvfrom(64)
        except TimeoutError:
            raise Refused(_SILENT) from None
    return f"{host} answered {answer!r}"


@attempt("ENOENT", "EACCES", "ECONNREFUSED", weakness="user")
def connect_to_host_sockets(target: Target) -> str:
    """Connect to Unix sockets of the host, a neighbour's envd among them."""
    refusal = OSError(errno.ENOENT, "no such socket")
    for path in target.foreign_sockets:
        try:
            return _connect_unix(path)
        except OSError as error:
            refusal = error
    raise refusal


@attempt("nothing listens", weakness="user")
def connect_to_sockets_in_sight(target: Target) -> str:  # noqa: ARG001
    """Connect to every Unix socket that the kernel lists, abstract ones included."""
    refusals = []
    for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="surrogateescape").splitlines()[1:]:
        name = line.partition(" ")[2].split()[-1]
        if name.startswith(("/", "@")):
            try:
                return _connect_unix("\0" + name[1:] if name.startswith("@") else name)
            except OSError as error:
                refusals.append(f"{name}: {reason_of(error)}")
    raise Refused("nothing listens", "; ".join(refusals))


def _connect_unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as speaker:
        speaker.settimeout(_WAIT_SECONDS)
        speaker.connect(path)
    return f"connected to {os.fsencode(path)!r}"
