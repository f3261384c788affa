"""What was refused to whom: told to the server, and not more often than anybody could want to read."""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

REPEAT_SECONDS = 60.0
"""The same refusal is told once in this time."""

MAX_REMEMBERED = 100
"""Of one sandbox in that time: an agent that makes up names is told of up to there."""

_MAX_NAME = 253


@dataclass
class Refusals:
    """Writes a line for the server for each refusal that is new."""

    write: Callable[[str], object]
    clock: Callable[[], float] = time.monotonic
    _told: dict[str, OrderedDict[tuple[str, int], float]] = field(default_factory=dict)

    def tell(self, address: str, host: str | None, port: int) -> None:
        """Tell that the sandbox at `address` may not reach `host` at `port`; none for one without a name."""
        what = ((host or "")[:_MAX_NAME], port)
        told = self._told.setdefault(address, OrderedDict())
        now = self.clock()
        while told and now - next(iter(told.values())) > REPEAT_SECONDS:
            told.popitem(last=False)
        if what not in told and len(told) < MAX_REMEMBERED:
            told[what] = now
            self.write(json.dumps({"address": address, "host": what[0], "port": port}) + "\n")

    def forget(self, address: str) -> None:
        """Know nothing more of a sandbox that ended, or that has another policy."""
        self._told.pop(address, None)
