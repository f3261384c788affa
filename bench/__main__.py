"""Runs the benches: `python -m bench [lambda|sandbox|neighbour|deploy|invoke|ends …]`, or one on demand."""

import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter

from bench.report import RESULTS, Report

PARTS = {
    "lambda": "bench.imports",
    "sandbox": "bench.sandbox",
    "neighbour": "bench.neighbour",
    "deploy": "bench.deploy",
    "invoke": "bench.invoke",
    "ends": "bench.ends",
    "billing": "bench.billing",
    "soak": "bench.soak",
}
ON_DEMAND = {"billing", "soak"}


def main(arguments: list[str]) -> int:
    """Run the chosen parts, print the table, write the results. Return 1 if a part broke."""
    unknown = set(arguments) - PARTS.keys()
    if unknown:
        print(f"no bench named {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    chosen = set(arguments) or PARTS.keys() - ON_DEMAND
    report = Report()
    broken = [part for part in PARTS if part in chosen and not _measured(part, report)]
    results = RESULTS.with_name(f"{'-'.join(sorted(chosen))}.json") if chosen <= ON_DEMAND else RESULTS
    report.write(results)
    print(f"\n{report}\n\nwritten to {results}")
    return 1 if broken else 0


def _measured(part: str, report: Report) -> bool:
    print(f"bench {part} …", file=sys.stderr, flush=True)
    begin = perf_counter()
    try:
        measure: Callable[[Report], None] = import_module(PARTS[part]).measure
        measure(report)
    except Exception as error:  # noqa: BLE001 - one broken part must not cost the figures of the others
        report.leave_out(f"the rest of {part}", f"{type(error).__name__}: {error}")
        return False
    finally:
        print(f"bench {part}: {perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
