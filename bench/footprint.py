"""How much memory an idle sandbox costs: what the server's processes share is divided, not counted twice."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import psutil
from e2b import Sandbox

from bench.cycles import SETTLE_SECONDS, create, time_create
from bench.report import Report
from bench.sandbox_server import SandboxServer

SANDBOXES = 200
CREATES = 40
REFILL_SECONDS = 2.0
"""Until the pool that making them emptied is full again."""


def measure_idle(server: SandboxServer, report: Report) -> None:
    """Count `idle_pss_mb`: the growth of the server's whole process tree, per sandbox, at 200."""
    before = tree_pss_mb(server.pid)
    sandboxes: list[Sandbox] = []
    try:
        with ThreadPoolExecutor(4) as pool:
            sandboxes = list(pool.map(lambda _: create(server.e2b), range(SANDBOXES)))
        report.counts["idle_pss_mb"] = round((tree_pss_mb(server.pid) - before) / SANDBOXES, 2)
        sleep(REFILL_SECONDS)
        for _ in range(CREATES):
            # With the rests of `create_warm_ms`, beside which it is held.
            time_create(server.e2b, "create_beside_200_ms", report)
            sleep(SETTLE_SECONDS)
    finally:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda sandbox: sandbox.kill(), sandboxes))


def tree_pss_mb(pid: int) -> float:
    """Return the proportional set size of a process and all below it, in MB."""
    root = psutil.Process(pid)
    return sum(_pss_kb(process.pid) for process in [root, *root.children(recursive=True)]) / 1024


def _pss_kb(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
        return 0
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
