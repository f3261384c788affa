"""What happened to the agent and when, by the sandbox's own clocks: events for the invocation's log."""

import time


class Timeline:
    """Events in milliseconds since the runner set out to start the agent, and when that was."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.began_at = time.time() - (time.monotonic() - began)
        """Seconds since the epoch; a clock that is set meanwhile moves no event."""
        self.events: list[dict[str, str | int]] = []

    def note(self, name: str, at: float | None = None) -> None:
        """Write down what happens now, or happened at `at` (monotonic seconds); each thing once."""
        if all(event["name"] != name for event in self.events):
            self.events.append({"name": name, "at_milliseconds": self._milliseconds(at)})

    def facts(self) -> dict[str, object]:
        """Return what the report tells of it."""
        return {"began_at_milliseconds": round(self.began_at * 1000), "events": self.events}

    def elapsed(self) -> int:
        """Return the milliseconds so far."""
        return self._milliseconds(None)

    def _milliseconds(self, at: float | None) -> int:
        return round(((time.monotonic() if at is None else at) - self._began) * 1000)
