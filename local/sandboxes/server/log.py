"""Structured log: one JSON object a line, about events and ids, never about contents."""

import json
import logging
from datetime import UTC, datetime

_logger = logging.getLogger("castari.sandboxes")


def event(name: str, **keys: object) -> None:
    """Log that something happened. Durations end in `_ms`, sizes in `_bytes`."""
    _logger.info(name, extra={"keys": keys})


def failure(name: str, error: BaseException) -> None:
    """Log an error that nobody waits for."""
    _logger.error(name, exc_info=error)


class JsonFormatter(logging.Formatter):
    """Writes records of any logger as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as a line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "keys", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure() -> None:
    """Send every logger's records to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
