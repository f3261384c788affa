"""Ten thousand sandboxes in a row through the SDK: afterwards nothing is left and nothing has grown."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cycles import create
from bench.footprint import tree_pss_mb
from bench.leaks import counted_leaks, settled
from bench.report import Report
from bench.sandbox_server import SandboxServer, sandbox_server

SANDBOXES = 10_000
AT_ONCE = 4
STEPS = 10
ROOM_MB = 2.0
"""Memory moves by this much from one look to the next, with no trend."""


class Leaked(Exception):
    """Something was left behind, or grew."""


@dataclass(frozen=True)
class Footing:
    """What the server and its children hold between two steps."""

    memory_mb: float
    descriptors: int


def measure(report: Report) -> None:
    """Make and kill them all, looking at the server between steps. Raises `Leaked`."""
    if os.geteuid() != 0:
        report.leave_out("soak", "isolation needs root: run `sudo make soak`")
        return
    with sandbox_server("namespaces", instance="soak", pool=AT_ONCE * 2) as server:
        create(server.e2b).kill()
        with counted_leaks(server, report):
            footings = [_step(server, number) for number in range(1, STEPS + 1)]
    grown = growth(footings)
    report.counts["soak_memory_growth_mb"] = round(grown.memory_mb, 2)
    report.counts["soak_descriptor_growth"] = grown.descriptors
    if report.counts["leaked_after_cycles"] or grown.memory_mb > ROOM_MB or grown.descriptors > 0:
        raise Leaked(f"left: {report.counts['leaked_after_cycles']:g}, grown in the second half: {grown}")


def growth(footings: list[Footing]) -> Footing:
    """Return how much the last quarter's least is above the least of the quarter after the middle."""
    half, quarter = footings[len(footings) // 2 :], len(footings) // 4
    middle, last = half[:quarter], half[-quarter:]
    return Footing(
        min(each.memory_mb for each in last) - min(each.memory_mb for each in middle),
        min(each.descriptors for each in last) - min(each.descriptors for each in middle),
    )


def _step(server: SandboxServer, number: int) -> Footing:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda _: create(server.e2b).kill(), range(SANDBOXES // STEPS)))
    settled(server.instance)
    footing = Footing(tree_pss_mb(server.pid), _descriptors(server.pid))
    print(f"  {number * SANDBOXES // STEPS} sandboxes: {footing}", file=sys.stderr, flush=True)
    return footing


def _descriptors(pid: int) -> int:
    """Count open descriptors of the server and of what it started itself; jails come and go."""
    processes = [pid, *(child.pid for child in psutil.Process(pid).children())]
    return sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in processes)
