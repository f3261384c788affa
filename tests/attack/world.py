"""A small world in network namespaces: a host, and everything outside it that an attack may aim at.

    sandboxes ── host ── outside
                  │        ├─ 169.254.169.254, private hosts, a carrier's host, IPv6 hosts
                  │        └─ 203.0.113.10, which plays the Internet
                  └─ a private address of its own, with services

No packet can leave it: neither namespace has an interface that leads to the real network.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.attack.namespace import NetworkNamespace, run
from tests.attack.probe.targets import Place

SERVICE_PORT = 8099
OUTSIDE_PORT = 8080
DNS_PORT = 53
HOST_ADDRESS = "10.231.0.1"
INTERNET = "203.0.113.10"
_LINK = ("198.51.100.1", "198.51.100.2")
_LINK6 = ("fd00:98::1", "fd00:98::2")
METADATA = "169.254.169.254"
PRIVATE = ("10.99.0.2", "172.20.0.2", "192.168.77.2")
CARRIER = "100.127.100.200"
IPV6 = ("2001:db8:1::10", "fd00:99::2")


class World:
    """The host's network namespace and the outside's, with listeners in both."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.host = NetworkNamespace(f"castari-{tag}-host")
        self.outside = NetworkNamespace(f"castari-{tag}-outside")

    def connect(self) -> None:
        """Join the two and give each its addresses and routes."""
        run(
            "ip",
            "link",
            "add",
            "world0",
            "netns",
            self.host.name,
            "type",
            "veth",
            "peer",
            "name",
            "world0",
            "netns",
            self.outside.name,
        )
        for namespace, side in ((self.host, 0), (self.outside, 1)):
            namespace.ip("address", "add", f"{_LINK[side]}/24", "dev", "world0")
            namespace.ip("address", "add", f"{_LINK6[side]}/64", "dev", "world0", "nodad")
            namespace.ip("link", "set", "world0", "up")
            namespace.ip("route", "add", "default", "via", _LINK[1 - side])
            namespace.ip("-6", "route", "add", "default", "via", _LINK6[1 - side])
        self.host.ip("address", "add", f"{HOST_ADDRESS}/32", "dev", "lo")
        for address in (METADATA, *PRIVATE, CARRIER, INTERNET):
            self.outside.ip("address", "add", f"{address}/32", "dev", "lo")
        for address in IPV6:
            self.outside.ip("address", "add", f"{address}/128", "dev", "lo")

    def places(self) -> dict[str, tuple[Place, ...]]:
        """What stands where. A `neighbour` and the `control_api` are for the test to add."""
        return {
            "metadata": ((METADATA, OUTSIDE_PORT),),
            "private": tuple((address, OUTSIDE_PORT) for address in PRIVATE),
            "private_dns": tuple((address, DNS_PORT) for address in PRIVATE),
            "carrier": ((CARRIER, OUTSIDE_PORT),),
            "host": ((HOST_ADDRESS, SERVICE_PORT), (_LINK[0], SERVICE_PORT)),
            "loopback": (("127.0.0.1", SERVICE_PORT),),
            "ipv6": (*((address, OUTSIDE_PORT) for address in IPV6), (_LINK6[0], SERVICE_PORT)),
            "internet": ((INTERNET, OUTSIDE_PORT),),
        }


def remove_dead_worlds() -> None:
    """Remove the namespaces of test runs that were killed before they could: their tag tells the process."""
    for path in Path("/run/netns").glob("castari-[ae]*"):
        run_of = re.fullmatch(r"castari-[ae](\d+)w?-(host|outside)", path.name)
        if run_of and not Path("/proc", run_of[1]).exists():
            run("ip", "netns", "delete", path.name)


@contextmanager
def a_world(tag: str) -> Iterator[World]:
    """Make a world with its listeners running, and leave nothing of it behind."""
    with ExitStack() as stack:
        world = World(tag)
        stack.callback(world.outside.remove)
        stack.callback(world.host.remove)
        world.connect()
        stack.enter_context(listeners(world.outside.enter_command, OUTSIDE_PORT, DNS_PORT))
        stack.enter_context(listeners(world.host.enter_command, SERVICE_PORT))
        yield world


@contextmanager
def listeners(inside: tuple[str, ...], *ports: int) -> Iterator[None]:
    """Let a stand-in greet on `ports` of every address; `inside` is the command that enters its network."""
    command = [*inside, sys.executable, "-I", str(Path(__file__).with_name("stand_in.py")), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
