"""Connects a jail's network namespace with the host: one veth pair, one address, one route."""

import contextlib
import os

from local.sandboxes.kernel_files import write_kernel_file
from local.sandboxes.namespaces.netlink import Netlink, VethPair
from local.sandboxes.namespaces.plans import Plan

_SETTINGS = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/ip_unprivileged_port_start": "0",  # Nobody can connect, so a low port needs no privilege.
}


def connect_namespace(host: Netlink, plan: Plan) -> None:
    """Connect the network namespace of the calling process. `host` was opened in the host's."""
    for name, value in _SETTINGS.items():
        with contextlib.suppress(FileNotFoundError):
            write_kernel_file(f"/proc/sys/net/{name}", value)
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    host.add_veth(VethPair(plan.veth, "eth0", namespace, plan.mtu))
    os.close(namespace)
    with contextlib.suppress(OSError):  # Nobody would use it, and the kernel would announce it.
        host.leave_without_ipv6(plan.veth)
    host.set_up(plan.veth)
    host.add_address(host.index_of(plan.veth), plan.gateway, peer=plan.address)
    inside = Netlink()
    inside.set_up("lo")
    inside.set_up("eth0")
    link = inside.index_of("eth0")
    inside.add_address(link, plan.address, peer=plan.gateway)
    inside.add_default_route(link, plan.gateway)
    inside.close()
