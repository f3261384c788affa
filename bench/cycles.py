"""What a user of the SDK waits for: create, the first byte of a command, and whole cycles."""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from e2b import E2B, Sandbox

from bench.report import Report

SETTLE_SECONDS = 0.06
"""Teardown and refill go on behind an answer; measured beside them, the other side would look slow."""


def create(client: E2B) -> Sandbox:
    """Create a sandbox from the base template."""
    return client.Sandbox.create(timeout=60)


def time_create(client: E2B, name: str, report: Report, *, first_byte: str | None = None) -> None:
    """Add one create under `name`, and under `first_byte` how long its first command's takes."""
    with report.timed(name):
        sandbox = create(client)
    try:
        if first_byte:
            report.samples[first_byte].append(first_byte_milliseconds(sandbox))
    finally:
        sandbox.kill()


def first_byte_milliseconds(sandbox: Sandbox) -> float:
    """Return how long the first byte of `echo x` takes to arrive."""
    arrivals: list[float] = []
    begin = perf_counter()
    sandbox.commands.run("echo x", on_stdout=lambda _: arrivals.append(perf_counter()))
    return (arrivals[0] - begin) * 1000


def cycle(client: E2B, node: str = "node") -> None:
    """Create a sandbox, run `node -e 0` in it, kill it."""
    sandbox = create(client)
    try:
        sandbox.commands.run(f"{node} -e 0")
    finally:
        sandbox.kill()


def cycle_rate(client: E2B, cycles: int, at_once: int) -> float:
    """Return how many cycles end each second when `at_once` run side by side."""
    begin = perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: cycle(client), range(cycles)))
    return cycles / (perf_counter() - begin)
