"""Asks again until something is done, gently, and through short outages."""

import time
from collections.abc import Callable, Iterator

from cast.errors import ApiError, CastError, Json, Unreachable

PATIENCE_SECONDS = 660.0
"""The longest that the platform lets an agent run, and a little for what surrounds it."""
_FIRST_PAUSE_SECONDS = 0.2
# A key may ask 100 times a minute by default.
_LONGEST_PAUSE_SECONDS = 1.5
_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
_FAILURES_IN_A_ROW = 5


def answers(
    ask: Callable[[], Json], *, patience_seconds: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Json]:
    """Yield one answer after another, until the caller stops or `patience_seconds` of pauses are over.

    Raises the error of `ask` when it will not pass, or came five times in a row.
    """
    pause, paused, failures = _FIRST_PAUSE_SECONDS, 0.0, 0
    while paused < patience_seconds:
        wait = pause
        try:
            answer = ask()
        except (ApiError, Unreachable) as error:
            failures += 1
            wait = _pause_after(error, failures, pause)
        else:
            failures = 0
            yield answer
        sleep(wait)
        paused += wait
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _pause_after(error: CastError, failures: int, pause: float) -> float:
    """Return how long to wait before another try; raise the error when another try is pointless."""
    if isinstance(error, ApiError) and error.status not in _PASSING_STATUSES:
        raise error
    if failures >= _FAILURES_IN_A_ROW:
        raise error
    return (isinstance(error, ApiError) and error.retry_after_seconds) or pause
