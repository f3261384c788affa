"""Adds up what the agent says it used: lines of JSON, a stranger's input like all that it says."""

from __future__ import annotations

import json
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_BYTES = 65_536
"""Of the file, and of what is said on the descriptor."""
_MOST = 10**12
_MICRO = 1_000_000
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_COSTS = ("cost_usd", "total_cost_usd")


def collect(path: str, said: bytes, transcripts: str, since: float) -> dict[str, int]:
    """Return the sums of the file's lines and of those that were said, and remove the file.

    Where neither holds a JSON object, those of the answers in the transcripts since then count.
    """
    lines = [*_read(path).splitlines(), *said.splitlines()]
    found = [usage for line in lines if (usage := _object(line))]
    if not found and os.path.isdir(transcripts):
        from runner.transcripts import answers

        found = answers(transcripts, since)
    return {
        "input_tokens": _sum(_number(each, name) for each in found for name in _INPUT),
        "output_tokens": _sum(_number(each, "output_tokens") for each in found),
        "cost_micro_dollars": _sum(_number(each, name) * _MICRO for each in found for name in _COSTS),
    }


def _read(path: str) -> bytes:
    """Return the file's beginning; a link, a pipe or a device is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        content = os.read(file, LONGEST_BYTES) if stat.S_ISREG(os.fstat(file).st_mode) else b""
        os.unlink(path)
    except OSError:
        return b""
    finally:
        os.close(file)
    return content


def _object(line: bytes) -> dict[str, object]:
    """Return a line's object; one of the Claude Agent SDK's results holds its tokens one level deeper."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    inner = found.get("usage")
    return {**found, **inner} if isinstance(inner, dict) else found


def _number(usage: dict[str, object], name: str) -> float:
    value = usage.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    # Also false for NaN, which is JSON to Python.
    return value if 0 <= value <= _MOST else 0


def _sum(numbers: Iterable[float]) -> int:
    return min(_MOST, round(sum(numbers)))
