"""Identifiers: a prefix that says what it names, then a part that sorts by time."""

import hashlib
import secrets
import time
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_LENGTH = 10
_RANDOM_LENGTH = 14


def new_id(prefix: str) -> str:
    """Return `prefix_` and 24 characters: 50 bits of milliseconds, then 70 random bits."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return f"{prefix}_{_text(time.time_ns() // 1_000_000, _TIME_LENGTH)}{random}"


def id_of(prefix: str, at: datetime, name: str) -> str:
    """Return an id that is the same for the same time and name, and sorts by that time like any other."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")
    milliseconds = int(at.timestamp() * 1000)
    return f"{prefix}_{_text(milliseconds, _TIME_LENGTH)}{_text(digest, _RANDOM_LENGTH)}"


def _text(number: int, length: int) -> str:
    """Return the lowest five times `length` bits."""
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range((length - 1) * 5, -1, -5))
