"""Results go to stdout, everything that is said about the work goes to stderr."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cast.errors import CastError

if TYPE_CHECKING:
    from rich.status import Status

_INDENT = "  "


def result(text: str) -> None:
    """Print one line of result."""
    write(printable(text) + "\n")


def result_json(value: object) -> None:
    """Print a result for a script."""
    write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write(content: str | bytes) -> None:
    """Write to stdout as it is, in UTF-8 whatever the locale says."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content.encode() if isinstance(content, str) else content)
    sys.stdout.buffer.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows: aligned below a heading in a terminal, separated by tabs in a pipe."""
    cells = [
        [" ".join(printable("-" if cell is None else str(cell)).split()) for cell in row] for row in rows
    ]
    if not sys.stdout.isatty():
        write("".join("\t".join(row) + "\n" for row in cells))
        return
    cells.insert(0, [column.upper() for column in columns])
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        line = _INDENT.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write(line.rstrip() + "\n")


def note(text: str) -> None:
    """Say something on stderr."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Say on stderr what may surprise later."""
    note(f"warning: {text}")


def complain(error: CastError) -> None:
    """Say what went wrong and how to mend it."""
    note(f"error: {error}")
    if error.remedy:
        note(f"{_INDENT}{error.remedy}")


def printable(text: str) -> str:
    """Return the text with its control characters replaced: a terminal would obey them."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


class Step:
    """One part of a longer task, shown while it runs and timed when it ends."""

    def __init__(self, doing: str) -> None:
        self.outcome = doing
        self.succeeded = True
        self._said = doing
        self._started = time.monotonic()
        self._spinner = _spinner(doing)

    def progress(self, text: str) -> None:
        """Show what the step is at."""
        if self._spinner is not None:
            self._spinner.update(printable(text))
        elif text != self._said:
            note(f"  {text}")
        self._said = text

    def status(self, text: str) -> None:
        """Show what a part of the step is at, where something can be shown that does not stay."""
        if self._spinner is not None:
            self._spinner.update(printable(text))

    def line(self, text: str) -> None:
        """Leave a line about a part of the step."""
        if self._spinner is not None:
            self._spinner.stop()
        note(text)
        if self._spinner is not None:
            self._spinner.start()

    def end(self) -> None:
        """Leave one line with the outcome and the time."""
        if self._spinner is not None:
            self._spinner.stop()
        note(f"{'✓' if self.succeeded else '✗'} {self.outcome}  {time.monotonic() - self._started:.1f} s")


@contextmanager
def step(doing: str) -> Iterator[Step]:
    """Run a block as a step; the block sets `outcome`, which the remaining line says, and `succeeded`."""
    running = Step(doing)
    try:
        yield running
    except BaseException:
        running.succeeded = False
        raise
    finally:
        running.end()


def _spinner(text: str) -> "Status | None":
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    # Costs 60 ms, which a pipe need not pay.
    from rich.console import Console  # noqa: PLC0415

    status = Console(stderr=True, markup=False, highlight=False).status(text)
    status.start()
    return status
