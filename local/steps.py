"""Shows what a long command does, one line for each step, with its seconds."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Note = Callable[[str, float], None]
"""Shows a part of a step that is done, with its seconds."""


@contextlib.contextmanager
def step(title: str) -> Iterator[Note]:
    """Print `title` now and its seconds when the block ends; a failure is left to whoever catches it."""
    began = time.monotonic()
    say(_line(title), end="")
    noted = False

    def note(part: str, seconds: float) -> None:
        nonlocal noted
        say(("" if noted else "\n") + _line(f"  {part}", seconds))
        noted = True

    try:
        yield note
    except BaseException:
        say("  failed")
        raise
    seconds = time.monotonic() - began
    say(_line(title, seconds) if noted else f"{seconds:7.2f} s")


def _line(title: str, seconds: float | None = None) -> str:
    return f"  {title:<52}" + ("" if seconds is None else f"{seconds:7.2f} s")


def say(text: str, end: str = "\n") -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + end)
    sys.stdout.flush()
