"""Runs the benches: `python -m bench [lambda|sandbox|neighbour|deploy|invoke|ends|billing …]`, or `soak`."""

import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter

from bench.report import RESULTS, Report

Measure = Callable[[Report], None]
PARTS = {
    "lambda": "bench.imports",
    "sandbox": "bench.sandbox",
    "neighbour": "bench.neighbour",
    "deploy": "bench.deploy",
    "invoke": "bench.invoke",
    "ends": "bench.ends",
    "soak": "bench.soak",
}
BESIDE = "billing"
"""Begun before the others and counted after them: it waits for agents that sleep."""
ON_DEMAND = {"soak"}


def main(arguments: list[str]) -> int:
    """Run the chosen parts, print the table, write the results. Return 1 if a part broke."""
    known = [*PARTS, BESIDE]
    unknown = set(arguments) - set(known)
    if unknown:
        print(f"no bench named {', '.join(sorted(unknown))}: choose from {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = set(arguments) or set(known) - ON_DEMAND
    report = Report()
    parts = [part for part in PARTS if part in chosen]
    broken = _beside(parts, report) if BESIDE in chosen else _broken(parts, report)
    results = (
        RESULTS.with_name(f"{'-'.join(sorted(chosen))}.json") if chosen <= {*ON_DEMAND, BESIDE} else RESULTS
    )
    report.write(results)
    print(f"\n{report}\n\nwritten to {results}")
    return 1 if broken else 0


def _beside(parts: list[str], report: Report) -> list[str]:
    """Run the parts while the agents of `billing` sleep; return which broke."""
    broken: list[str] | None = None

    def measure(report: Report) -> None:
        nonlocal broken
        with import_module("bench.billing").measured(report):
            broken = _broken(parts, report)

    itself = _broken([BESIDE], report, measure)
    return itself + (_broken(parts, report) if broken is None else broken)


def _broken(parts: list[str], report: Report, measure: Measure | None = None) -> list[str]:
    """Run the parts one after the other, or `measure` for the only one; return which broke."""
    return [part for part in parts if not _measured(part, measure, report)]


def _measured(part: str, measure: Measure | None, report: Report) -> bool:
    print(f"bench {part} …", file=sys.stderr, flush=True)
    begin = perf_counter()
    try:
        (measure or import_module(PARTS[part]).measure)(report)
    except Exception as error:  # noqa: BLE001 - one broken part must not cost the figures of the others
        report.leave_out(f"the rest of {part}", f"{type(error).__name__}: {error}")
        return False
    finally:
        print(f"bench {part}: {perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
