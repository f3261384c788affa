"""What happened to each sandbox, for its owner: kept in memory, bounded, and a while beyond its end.

The same events go to the server's log. Both name what happened, never contents: no command, no path's
query, no environment.
"""

import json
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from local.sandboxes.server import log
from local.sandboxes.server.errors import SandboxMissingError

Level = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)

MAX_ENTRIES = 1000
"""Of one sandbox; the oldest give way."""

MAX_ENDED = 200
"""How many ended sandboxes still tell what happened to them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `at` is in nanoseconds since 1970."""

    at: int
    level: Level
    message: str
    fields: Mapping[str, object]

    @property
    def milliseconds(self) -> int:
        """The time as clients name it."""
        return self.at // 1_000_000

    def to_json(self) -> dict[str, Any]:
        """Its structured form on the wire; fields are text there."""
        return {
            "timestamp": self._timestamp(),
            "message": self.message,
            "level": self.level,
            "fields": {name: str(value) for name, value in self.fields.items()},
        }

    def to_line(self) -> dict[str, Any]:
        """Its form as one line of text."""
        line = {"level": self.level, "event": self.message, **self.fields}
        return {"timestamp": self._timestamp(), "line": json.dumps(line, default=str)}

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self.at / 1e9, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Journal:
    """The events of one sandbox, in their order."""

    sandbox_id: str
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))

    def tell(self, event: str, **fields: object) -> None:
        """Note what happened to the sandbox, here and in the server's log."""
        log.event(event, sandbox_id=self.sandbox_id, **fields)
        self._append("info", event, fields)

    def note(self, message: str, level: Level = "info", **fields: object) -> None:
        """Note something here alone, as it happens too often for the server's log."""
        self._append(level, message, fields)

    def _append(self, level: Level, message: str, fields: Mapping[str, object]) -> None:
        self.entries.append(Entry(time.time_ns(), level, message, fields))


class EndedJournals:
    """The journals of the sandboxes that ended last."""

    def __init__(self) -> None:
        self._journals: OrderedDict[str, Journal] = OrderedDict()

    def keep(self, journal: Journal) -> None:
        """Keep one, and let the oldest go."""
        self._journals[journal.sandbox_id] = journal
        if len(self._journals) > MAX_ENDED:
            self._journals.popitem(last=False)

    def get(self, sandbox_id: str) -> Journal:
        """Look one up. Raises `SandboxMissingError`."""
        if journal := self._journals.get(sandbox_id):
            return journal
        raise SandboxMissingError(sandbox_id)


@dataclass(frozen=True)
class Search:
    """What a client wants to see of a journal. `cursor` is a time in milliseconds."""

    cursor: int | None = None
    limit: int = MAX_ENTRIES
    backward: bool = False
    level: Level = "debug"
    text: str = ""

    def of(self, journal: Journal) -> list[Entry]:
        """The entries from the cursor on, in the wanted direction."""
        found = self._wanted(journal)
        return [entry for entry, _ in zip(found, range(self.limit), strict=False)]

    def _wanted(self, journal: Journal) -> Iterator[Entry]:
        entries = reversed(journal.entries) if self.backward else iter(journal.entries)
        for entry in entries:
            loud = LEVELS.index(entry.level) >= LEVELS.index(self.level)
            if loud and self.text in entry.message and self._reached(entry):
                yield entry

    def _reached(self, entry: Entry) -> bool:
        if self.cursor is None:
            return True
        return entry.milliseconds <= self.cursor if self.backward else entry.milliseconds >= self.cursor
