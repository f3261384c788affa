"""Collects samples, turns them into figures, ratios and counts, prints and writes them."""

import json
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from time import perf_counter

RESULTS = Path(__file__).parent / "results" / "latest.json"


def percentile(samples: list[float], rank: float) -> float:
    """Return the nearest-rank percentile; `rank` is between 0 and 1."""
    return sorted(samples)[max(0, ceil(rank * len(samples)) - 1)]


@dataclass
class Report:
    """One run's measurements, under the names that the results file uses."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ratios: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    over_bare: dict[str, float] = field(default_factory=dict)
    """Each figure's median by that of the bare run made beside it."""

    def leave_out(self, name: str, reason: str) -> None:
        """Say why `name` could not be measured; it is then absent from the results."""
        self.left_out[name] = reason

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the block's time under `name`, in the unit that the name ends with (`_ms` or `_s`)."""
        begin = perf_counter()
        yield
        seconds = perf_counter() - begin
        self.samples[name].append(seconds * 1000 if name.endswith("_ms") else seconds)

    def p50(self, name: str) -> float | None:
        """Return the median of what was measured under `name`, if anything was."""
        samples = self.samples.get(name)
        return percentile(samples, 0.5) if samples else None

    def ratio(self, name: str, over: str, under: str) -> None:
        """Keep `over`'s median by `under`'s; leave it out when either side was not measured."""
        numerator, denominator = self.p50(over), self.p50(under)
        if numerator is not None and denominator:
            self.ratios[name] = round(numerator / denominator, 3)

    def beside(self, bare: str, *names: str) -> None:
        """Print next to each figure how many times the bare run beside it that is; `bare` in milliseconds."""
        floor = self.p50(bare)
        for name in names:
            if floor and (figure := self.p50(name)) is not None:
                self.over_bare[name] = (figure if name.endswith("_ms") else figure * 1000) / floor

    def figures(self) -> dict[str, dict[str, float]]:
        """Return p50, p99 and n for each name."""
        return {
            name: {"p50": round(percentile(s, 0.5), 3), "p99": round(percentile(s, 0.99), 3), "n": len(s)}
            for name, s in sorted(self.samples.items())
            if s
        }

    def write(self, path: Path = RESULTS) -> None:
        """Write the results file, atomically."""
        document = {
            "commit": _output("git", "rev-parse", "HEAD"),
            "machine": _machine(),
            "figures": self.figures(),
            "ratios": self.ratios,
            "counts": self.counts,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(document, indent=2) + "\n")
        draft.rename(path)

    def __str__(self) -> str:
        """Return the table that `make bench` prints."""
        figures = [
            f"{n:34}{f['p50']:>12.2f}{f['p99']:>12.2f}{f['n']:>7.0f}{self._beside(n)}"
            for n, f in self.figures().items()
        ]
        sections = [
            [f"{'figure':34}{'p50':>12}{'p99':>12}{'n':>7}{'over bare':>12}", *figures] if figures else [],
            [f"{name:34}{value:>12.2f} x" for name, value in sorted(self.ratios.items())],
            [f"{name:34}{value:>12g}" for name, value in sorted(self.counts.items())],
            [f"{name:34}left out: {reason}" for name, reason in sorted(self.left_out.items())],
        ]
        return "\n\n".join("\n".join(section) for section in sections if section)

    def _beside(self, name: str) -> str:
        return f"{self.over_bare[name]:>10.2f} x" if name in self.over_bare else ""


def _machine() -> dict[str, str | int | float]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count() or 0,
        "memory_gb": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "node": _output("node", "--version"),
    }


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
