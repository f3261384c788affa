"""Promises of sandboxes: their names, which tell when they were given, and for how long each is good."""

from datetime import datetime, timedelta

LAG = timedelta(seconds=30)
"""So long a sandbox that exists may be missing from a listing."""
_BEGUN = timedelta(seconds=30)
_KEPT = timedelta(seconds=120)
"""Whatever comes of a promise is listed by then: `_BEGUN`, 30 s in which a creation is answered, as long
again for one that is carried out after nobody waits for it any more, and `LAG`."""


def promise_name(number: int, at: datetime) -> str:
    """Return a name that nothing else has: nobody else counted as the `number`th."""
    return f"{number}@{at.isoformat()}"


def given_again(promise: str, at: datetime) -> str | None:
    """Return the promise as if it were given now, None for a name that is none."""
    number, _, given_at = promise.partition("@")
    return promise_name(int(number), at) if given_at else None


def is_too_old(promise: str, now: datetime) -> bool:
    """Tell whether no creation may begin any more on account of it."""
    return now - _given_at(promise) > _BEGUN


def is_over(promise: str, listed_at: datetime) -> bool:
    """Tell whether a listing of that time had what came of it, if anything did."""
    return listed_at - _given_at(promise) >= _KEPT


def _given_at(promise: str) -> datetime:
    return datetime.fromisoformat(promise.partition("@")[2])
