"""How often a row is looked at again while somebody waits: soon at first, then once a second."""

from collections.abc import Iterator

_FIRST_SECONDS, _LONGEST_SECONDS, _FACTOR = 0.1, 1.0, 1.6


def pauses() -> Iterator[float]:
    """Yield seconds between looks, without end."""
    pause = _FIRST_SECONDS
    while True:
        yield pause
        pause = min(pause * _FACTOR, _LONGEST_SECONDS)
