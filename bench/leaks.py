"""Counts what cycles leave on the host: the inventory before, minus the inventory after."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic, sleep

from bench.report import Report
from bench.sandbox_server import SandboxServer
from local.sandboxes.namespaces.inventory import Inventory, take_inventory

SETTLE_SECONDS = 15.0
"""Teardown goes on behind the last answer."""


@contextmanager
def counted_leaks(server: SandboxServer, report: Report) -> Iterator[None]:
    """Count `leaked_after_cycles`: what the server has more of after the block than before it."""
    before = settled(server.instance)
    yield
    deadline = monotonic() + SETTLE_SECONDS
    while (leaked := surplus(before, take_inventory(server.instance))) and monotonic() < deadline:
        sleep(0.2)
    report.counts["leaked_after_cycles"] = leaked


def surplus(before: Inventory, after: Inventory) -> int:
    """Return how many more there are of anything; fewer of one thing does not make up for more of another."""
    earlier = asdict(before)
    return sum(max(0, count - earlier[kind]) for kind, count in asdict(after).items())


def settled(instance: str) -> Inventory:
    """Return the inventory once it stands still: the pool is being filled when a server has just started."""
    deadline = monotonic() + SETTLE_SECONDS
    seen = take_inventory(instance)
    while monotonic() < deadline:
        sleep(0.5)
        if (now := take_inventory(instance)) == seen:
            return now
        seen = now
    raise TimeoutError(f"the inventory of {instance} does not stand still: {seen}")
