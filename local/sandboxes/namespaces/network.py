"""The network of an instance: its addresses, the relay's address on the host, and the firewall."""

import contextlib
import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces import instances
from local.sandboxes.namespaces.egress import Egress
from local.sandboxes.namespaces.egress_process import EgressDoors, EgressProcess
from local.sandboxes.namespaces.firewall import Firewall, remove_table
from local.sandboxes.namespaces.identity import first_uid_of
from local.sandboxes.namespaces.netlink import Netlink
from local.sandboxes.namespaces.settings import EngineSettings, Names

_RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))

MAX_INDEX = 4000
"""The highest number of a sandbox at one time; an instance has 4,094 addresses."""


@dataclass(frozen=True)
class Network:
    """The addresses in force: sandbox number n has the n-th after the gateway, the relay the last."""

    subnet: ipaddress.IPv4Network
    nameservers: tuple[str, ...]
    mtu: int

    @property
    def gateway(self) -> str:
        """The host's end of every link."""
        return gateway_of(self.subnet)

    @property
    def resolv_conf(self) -> str:
        """The text of /etc/resolv.conf in each sandbox."""
        return "".join(f"nameserver {address}\n" for address in self.nameservers)

    def address(self, index: int) -> str:
        """Return the address of sandbox number `index`, from 1 to `MAX_INDEX`."""
        return str(self.subnet[1 + index])


async def open_network(settings: EngineSettings) -> tuple[Network, Egress]:
    """Give an instance its slice of addresses, the relay's address and the firewall, with no policy yet."""
    subnet = instances.join(settings.instance, settings.address_range)
    nameservers = settings.nameservers or host_nameservers()
    relay = (relay_address(subnet), settings.relay_port) if settings.relay_port else None
    if relay:
        _add_to_loopback(relay[0])
    egress = await _open_egress(settings.names, subnet, nameservers, relay)
    return Network(subnet, nameservers, _mtu()), egress


async def _open_egress(
    names: Names, subnet: ipaddress.IPv4Network, nameservers: tuple[str, ...], relay: tuple[str, int] | None
) -> Egress:
    gateway = gateway_of(subnet)
    # No sandbox has the gateway's address, so the ids that go with it are free.
    uid = first_uid_of(gateway)
    doors = EgressDoors.open(gateway)
    firewall = Firewall(names.table, names.veth, subnet, nameservers, relay, doors.ports(), uid)
    await firewall.load()
    return Egress(firewall, EgressProcess(doors, f"{names.cgroup}/egress", uid, nameservers))


async def remove_network(names: Names) -> None:
    """Remove what `open_network` and jails made, but for the instance's slice. Safe to call again."""
    _remove_links(names.veth)
    await remove_table(names.table)
    if subnet := instances.slice_of(names.instance):
        _remove_from_loopback(relay_address(subnet))


def gateway_of(subnet: ipaddress.IPv4Network) -> str:
    """Return the host's address that an instance's sandboxes send everything to."""
    return str(subnet[1])


def relay_address(subnet: ipaddress.IPv4Network) -> str:
    """Return the address of the host on which an instance's relay listens."""
    return str(subnet[-2])


def host_nameservers() -> tuple[str, ...]:
    """Return the host's IPv4 name servers that a sandbox can reach. Raises `EngineError` without one."""
    for path in filter(Path.exists, _RESOLVER_FILES):
        words = (line.split() for line in path.read_text().splitlines())
        servers = [line[1] for line in words if line[:1] == ["nameserver"] and ":" not in line[1]]
        if reachable := tuple(each for each in servers if not ipaddress.ip_address(each).is_loopback):
            return reachable
    raise EngineError("the host names no IPv4 name server but its own loopback: set `nameservers`")


def _remove_links(prefix: str) -> None:
    route = Netlink()
    for link in Path("/sys/class/net").glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # The kernel may be removing it already.
            route.delete_link(link.name)
    route.close()


def _add_to_loopback(address: str) -> None:
    # On lo, as a dummy interface needs a kernel module that not every host has.
    route = Netlink()
    with contextlib.suppress(FileExistsError):
        route.add_address(route.index_of("lo"), address)
    route.close()


def _remove_from_loopback(address: str) -> None:
    route = Netlink()
    with contextlib.suppress(OSError):  # It is not there.
        route.delete_address(route.index_of("lo"), address)
    route.close()


def _mtu() -> int:
    """Return the packet size of the way out: with a larger one, hosts that drop ICMP stall connections."""
    ways = {route["dev"] for route in _ip("-4", "route", "show", "default")}
    # Not from /sys/class/net, which belongs to the network namespace that mounted it.
    return min((link["mtu"] for link in _ip("link", "show") if link["ifname"] in ways), default=1500)


def _ip(*arguments: str) -> list[dict[str, Any]]:
    told = subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True, text=True)
    listed: list[dict[str, Any]] = json.loads(told.stdout or "[]")
    return listed
