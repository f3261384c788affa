"""Shows what a long command does, one line for each step, with its seconds."""

import contextlib
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print `title` now and its seconds when the block ends; a failure is left to whoever catches it."""
    began = time.monotonic()
    say(f"  {title:<52}", end="")
    try:
        yield
    except BaseException:
        say("  failed")
        raise
    say(f"{time.monotonic() - began:7.2f} s")


def say(text: str, end: str = "\n") -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + end)
    sys.stdout.flush()
