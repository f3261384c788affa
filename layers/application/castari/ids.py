"""Identifiers: a prefix that says what it names, then a part that sorts by time."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_LENGTH = 10
_RANDOM_LENGTH = 14


def new_id(prefix: str) -> str:
    """Return `prefix_` and 24 characters: 50 bits of milliseconds, then 70 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    stamp = "".join(
        _ALPHABET[(milliseconds >> shift) & 31] for shift in range((_TIME_LENGTH - 1) * 5, -1, -5)
    )
    return f"{prefix}_{stamp}{''.join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))}"
