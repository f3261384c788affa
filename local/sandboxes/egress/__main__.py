"""The egress process of an instance: takes over its sockets, gives up all rights, and serves.

On stdin come lines `{"address": …, "names": […]}`, each answered with `ok` once it is in force; between the
answers are lines `{"address": …, "host": …, "port": …}` about what was refused. It ends with its stdin.
Started by `local.sandboxes.namespaces.egress_process`.
"""

import asyncio
import json
import os
import resource
import socket
import sys
from dataclasses import dataclass

from local.sandboxes.egress.doors import Door
from local.sandboxes.egress.guests import Guests
from local.sandboxes.egress.name_service import NameService
from local.sandboxes.egress.refusals import Refusals
from local.sandboxes.egress.resolver import Resolver
from local.sandboxes.egress.wanted import WantedByHello, WantedByHost
from local.sandboxes.engine import Limits
from local.sandboxes.namespaces import syscalls
from local.sandboxes.namespaces.capabilities import drop_bounding_capabilities
from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.namespaces.seccomp import agent_filters

_LIMITS = Limits(memory_mb=1024, cpu_count=1, pids=64)
_OPEN_FILES = 262_144


@dataclass(frozen=True)
class Orders:
    """What the server starts the process with: sockets by their descriptors, and what it shall become."""

    http: int
    tls: int
    names_udp: int
    names_tcp: int
    cgroup: str
    uid: int
    nameservers: tuple[str, ...]

    @classmethod
    def load(cls, text: str) -> "Orders":
        """Read what the server wrote."""
        fields = json.loads(text)
        return cls(**fields | {"nameservers": tuple(fields["nameservers"])})


def main() -> None:
    """Serve until stdin ends."""
    orders = Orders.load(sys.argv[1])
    filters = agent_filters()
    _give_up_rights(orders, filters)
    asyncio.run(_serve(orders))


def _give_up_rights(orders: Orders, filters: tuple[bytes, ...]) -> None:
    """Become a user that nothing belongs to, weighed with the sandboxes, and under the agents' filters.

    Bytes from hostile clients are read only afterwards.
    """
    cgroup = find_cgroup(orders.cgroup)
    cgroup.create()
    cgroup.limit(_LIMITS)
    cgroup.join()
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files = min(_OPEN_FILES, highest)  # A host that allows less wins.
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgroups([])
    os.setresgid(orders.uid, orders.uid, orders.uid)
    drop_bounding_capabilities(frozenset())
    os.setresuid(orders.uid, orders.uid, orders.uid)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    for program in filters:
        syscalls.install_seccomp(program)


async def _serve(orders: Orders) -> None:
    guests, resolver, refusals = Guests(), Resolver(orders.nameservers), Refusals(_write)
    servers = [
        await Door(80, WantedByHost, guests, resolver, refusals).open(socket.socket(fileno=orders.http)),
        await Door(443, WantedByHello, guests, resolver, refusals).open(socket.socket(fileno=orders.tls)),
        await NameService(guests, resolver, refusals).open(
            socket.socket(fileno=orders.names_udp), socket.socket(fileno=orders.names_tcp)
        ),
    ]
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        order = json.loads(line)
        refusals.forget(order["address"])
        guests.set_names(order["address"], tuple(order["names"]))
        _write("ok\n")
    for server in servers:
        server.close()


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
