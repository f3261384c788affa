"""Finds what Claude Code and the Claude Agent SDK wrote down of each answer: a stranger's files, in bounds.

One answer is several lines with the same message id, of which the last has all its tokens. A resumed session
goes on in its file, and may be copied to another one: lines from before this invocation count for nothing.
"""

from __future__ import annotations

import json
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Line = dict[str, object]

_DEEPEST = 4
"""PROJECT/SESSION.jsonl, and PROJECT/SESSION/subagents/AGENT.jsonl."""
_MOST_ENTRIES = 2_000
_MOST_BYTES = 8 * 1024 * 1024
_MOST_SECONDS = 0.2
"""Of CPU, so that a busy machine counts no less."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CLOCK_STEP_SECONDS = 1.0
"""A file's time may lie that much behind the clock that its lines are stamped with."""


def answers(folder: str, since: float) -> list[Line]:
    """Return the usage of each answer that was stamped at `since` (seconds since the epoch) or later."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since)) + f".{int(since % 1 * 1000):03d}Z"
    found: dict[tuple[object, object], Line] = {}
    for line in _Reading(since).lines(folder):
        answer = _answer(line, stamp)
        if answer and _output(answer[1]) >= _output(found.get(answer[0], {})):
            found[answer[0]] = answer[1]
    return list(found.values())


def _answer(line: bytes, stamp: str) -> tuple[tuple[object, object], Line] | None:
    """Return the key and the usage of an answer's line, or None for any other."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    message = entry.get("message") if isinstance(entry, dict) else None
    usage = message.get("usage") if isinstance(message, dict) else None
    if not (isinstance(entry, dict) and isinstance(message, dict) and isinstance(usage, dict)):
        return None
    told, message_id, request_id = entry.get("timestamp"), message.get("id"), entry.get("requestId")
    is_ours = isinstance(told, str) and told.endswith("Z") and told >= stamp
    if not (is_ours and isinstance(message_id, str) and isinstance(request_id, str | None)):
        return None
    return (message_id, request_id), {**usage, "cost_usd": entry.get("costUSD")}


def _output(usage: Line) -> float:
    value = usage.get("output_tokens")
    return value if isinstance(value, int | float) else -1


class _Reading:
    """One reading of a folder, which ends when any of its bounds is reached."""

    def __init__(self, since: float) -> None:
        self._since = since - _CLOCK_STEP_SECONDS
        self._ends_at = time.process_time() + _MOST_SECONDS
        self._entries, self._bytes = _MOST_ENTRIES, _MOST_BYTES

    def lines(self, folder: str) -> Iterator[bytes]:
        """Yield the lines that look like answers."""
        for content in self._contents(folder, None, _DEEPEST):
            for line in content.splitlines():
                if b'"usage"' in line and b'"assistant"' in line:
                    if time.process_time() > self._ends_at:
                        return
                    yield line

    def _contents(self, name: str, above: int | None, deepest: int) -> Iterator[bytes]:
        try:
            folder = os.open(name, _FOLDER, dir_fd=above)
        except OSError:
            return
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._entries -= 1
                    if min(self._entries, self._bytes) <= 0:
                        return
                    if entry.name.endswith(".jsonl"):
                        yield self._content(entry.name, folder)
                    elif deepest > 1 and entry.is_dir(follow_symlinks=False):
                        yield from self._contents(entry.name, folder, deepest - 1)
        except OSError:
            return
        finally:
            os.close(folder)

    def _content(self, name: str, folder: int) -> bytes:
        """Return the end of a file that was written to since; a link, a pipe or a device is none."""
        try:
            file = os.open(name, _FILE, dir_fd=folder)
        except OSError:
            return b""
        try:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode) or about.st_mtime < self._since:
                return b""
            content = os.pread(file, self._bytes, max(0, about.st_size - self._bytes))
        except OSError:
            return b""
        finally:
            os.close(file)
        self._bytes -= len(content)
        return content
