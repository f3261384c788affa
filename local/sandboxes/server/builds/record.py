"""One build as clients see it: its state, and what it says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from local.sandboxes.engine import Limits

Status = Literal["waiting", "building", "ready", "error"]
Level = Literal["info", "warn", "error"]

LOGS_A_CALL = 100
_MAX_LOGS = 20_000
_REASON_LOGS = 10


class BuildError(Exception):
    """A build failed. `step` is "base", a step's number from 1 on, or "finalize"."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(message)
        self.step, self.message = step, message


@dataclass
class Build:
    """A build of a template, under the tags that it will get."""

    build_id: str
    template_id: str
    tags: list[str]
    limits: Limits
    status: Status = "waiting"
    logs: list[dict[str, str]] = field(default_factory=list)
    reason: dict[str, Any] | None = None

    def log(self, message: str, level: Level = "info") -> None:
        """Say something. A build that says too much is cut off."""
        if len(self.logs) < _MAX_LOGS:
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            self.logs.append({"timestamp": now, "level": level, "message": message})

    def warn(self, message: str) -> None:
        """Say what came by stderr."""
        self.log(message, "warn")

    def fail(self, error: BuildError) -> None:
        """End it badly."""
        tail = self.logs[-_REASON_LOGS:]
        self.log(error.message, "error")
        self.reason = {"step": error.step, "message": error.message, "logEntries": tail}
        self.status = "error"

    def to_json(self, logs_offset: int) -> dict[str, Any]:
        """Its state, with a page of what it said."""
        return {
            "templateID": self.template_id,
            "buildID": self.build_id,
            "status": self.status,
            "logs": [],
            "logEntries": self.logs[logs_offset : logs_offset + LOGS_A_CALL],
            **({"reason": self.reason} if self.reason else {}),
        }
