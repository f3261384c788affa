"""What a sandbox costs through the unmodified SDK, beside bare node and beside no isolation at all."""

import os
from contextlib import ExitStack
from time import sleep

from e2b import E2B

from bench.bare import node_exits, node_rate, shell_first_byte_milliseconds
from bench.cycles import SETTLE_SECONDS, cycle, cycle_rate, time_create
from bench.footprint import measure_idle
from bench.instant import instant_server
from bench.leaks import counted_leaks
from bench.node import sandbox_node
from bench.report import Report
from bench.sandbox_server import SandboxServer, sandbox_server

ROUNDS = 120
RATE_ROUNDS = 3
RATE_RUNS = 96
AT_ONCE = 8
POOL = 12
_TIMED = (
    "create_warm_ms",
    "create_sdk_alone_ms",
    "create_cold_ms",
    "first_byte_ms",
    "first_byte_sdk_alone_ms",
    "shell_bare_ms",
    "cycle_ms",
    "cycle_no_isolation_ms",
)


def measure(report: Report) -> None:
    """Start the servers and measure all sides in turn."""
    if os.geteuid() != 0:
        report.leave_out("sandbox", "isolation needs root: run `sudo make bench`")
        return
    with ExitStack() as servers:
        warm = servers.enter_context(sandbox_server("namespaces", instance="bw", pool=POOL))
        cold = servers.enter_context(sandbox_server("namespaces", instance="bc", pool=0))
        floor = servers.enter_context(sandbox_server("bare", instance="bf"))
        instant = servers.enter_context(instant_server())
        latencies(report, warm, cold, floor, instant)
        rates(report, warm)
        measure_idle(warm, report)


def latencies(
    report: Report, warm: SandboxServer, cold: SandboxServer, floor: SandboxServer, instant: E2B
) -> None:
    """Time each side once a round."""
    node = sandbox_node()
    for server in (warm, cold, floor):
        cycle(server.e2b, str(node) if server is floor else "node")
    cycle(instant)
    with counted_leaks(warm, report):
        for _ in range(ROUNDS):
            with report.timed("node_bare_ms"):
                node_exits(node)
            time_create(warm.e2b, "create_warm_ms", report, first_byte="first_byte_ms")
            sleep(SETTLE_SECONDS)
            time_create(cold.e2b, "create_cold_ms", report)
            sleep(SETTLE_SECONDS)
            with report.timed("cycle_ms"):
                cycle(warm.e2b)
            sleep(SETTLE_SECONDS)
            with report.timed("cycle_no_isolation_ms"):
                cycle(floor.e2b, str(node))
            node_exits(node)  # The SDK alone finds the caches as it does with a server.
            time_create(instant, "create_sdk_alone_ms", report, first_byte="first_byte_sdk_alone_ms")
            node_exits(node)
            report.samples["shell_bare_ms"].append(shell_first_byte_milliseconds())
    report.beside("node_bare_ms", *_TIMED)
    report.ratio("cycle_over_node", "cycle_ms", "node_bare_ms")
    report.ratio("cycle_no_isolation_over_node", "cycle_no_isolation_ms", "node_bare_ms")


def rates(report: Report, warm: SandboxServer) -> None:
    """Compare sustained cycles with sustained bare runs, both 8 at once."""
    node = sandbox_node()
    for _ in range(RATE_ROUNDS):
        report.samples["node_rate_per_s"].append(node_rate(node, RATE_RUNS, AT_ONCE))
        report.samples["cycle_rate_per_s"].append(cycle_rate(warm.e2b, RATE_RUNS, AT_ONCE))
        sleep(0.5)
    report.ratio("cycle_rate_over_node", "cycle_rate_per_s", "node_rate_per_s")
