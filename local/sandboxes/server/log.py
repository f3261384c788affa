"""Structured log: one JSON object a line, about events and ids, never about contents."""

import asyncio
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

_WRITE_SECONDS = 0.02

_Event = tuple[float, str, Mapping[str, object]]
"""When it happened, its name and keys. A line is made of it later, as somebody waits for who tells it."""


def event(name: str, **keys: object) -> None:
    """Log that something happened. Durations end in `_ms`, sizes in `_bytes`."""
    _lines.add((time.time(), name, keys))


def failure(name: str, error: BaseException) -> None:
    """Log an error that nobody waits for."""
    logging.getLogger("castari.sandboxes").error(name, exc_info=error)


def configure() -> None:
    """Send events, and every logger's records, to stderr."""
    _lines.stream = sys.stderr
    _lines.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[_lines], force=True)


class JsonFormatter(logging.Formatter):
    """Writes records of any logger as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as a line."""
        keys = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return _line(record.created, record.levelname.lower(), record.getMessage(), keys)


class Lines(logging.Handler):
    """Writes lines of one moment together, off the way of the requests they tell of.

    Warnings and worse, and all outside of an event loop, are written at once; the interpreter's end writes
    what is left.
    """

    stream: TextIO | None = None

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[str | _Event] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record of a logger."""
        self.add(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()

    def add(self, line: str | _Event) -> None:
        """Take a line, or an event to write as one. There is nowhere to write it before `configure`."""
        if self.stream is None:
            return
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(_WRITE_SECONDS, self.flush)
            except RuntimeError:  # No loop runs in this thread.
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        text = ""
        while self._waiting:
            line = self._waiting.popleft()
            text += (line if isinstance(line, str) else _event_line(*line)) + "\n"
        if text and self.stream:
            self.stream.write(text)
            self.stream.flush()


_lines = Lines()


def _event_line(at: float, name: str, keys: Mapping[str, object]) -> str:
    return _line(at, "info", name, keys)


def _line(at: float, level: str, name: str, keys: Mapping[str, object]) -> str:
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": moment, "level": level, "event": name, **keys}, default=str)
