"""What a build tells while it runs: its log, its steps, and what later builds may start from."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from castari.errors import StaleWrite
from castari.models import Step
from castari.services.build_logs import BuildLog
from castari.services.redaction import redact

_STEP_CHARACTERS, _NOTE_CHARACTERS, _OUTPUT_CHARACTERS = 50, 300, 8_000


@dataclass
class BuildProgress:
    """Follows the frames of a build: a stranger's words, so secrets are taken out and lengths bounded."""

    log: BuildLog
    record: Callable[[dict[str, object]], None]
    """Writes fields of the version."""
    forget: Callable[[str], Awaitable[None]]
    """Removes a snapshot."""
    step: str = "sandbox"
    reused: bool = False
    """Whether an earlier install was used again."""
    steps: list[Step] = field(default_factory=list)
    _secrets: list[SecretStr] = field(default_factory=list)

    def reuse(self, dependencies_snapshot_id: str) -> None:
        """Say that an earlier install is used again. Raises `StaleWrite`."""
        self.reused = True
        self.record({"dependencies_snapshot_id": dependencies_snapshot_id})

    async def keep(self, **snapshots: str) -> None:
        """Write down a snapshot at once, while its sandbox lives and tells whose it is.

        Raises `StaleWrite` if another worker has the build now; then the snapshots are gone.
        """
        so_far = {"steps": tuple(self.steps), "reused_dependencies": self.reused}
        try:
            self.record({**snapshots, **so_far})
        except StaleWrite:
            for snapshot_id in snapshots.values():
                await self.forget(snapshot_id)
            raise

    def keep_out(self, secrets: Iterable[SecretStr]) -> None:
        """Let none of these values through."""
        self._secrets = list(secrets)
        self.log.keep_out(self._secrets)

    def take(self, frame: dict[str, Any]) -> None:
        """Take in a frame that neither ends nor fails the build."""
        match frame["castari"]:
            case "step_started":
                self.step = self.text(frame, "step", _STEP_CHARACTERS)
                self.log.step_started(self.step)
            case "output":
                self.log.output(str(frame.get("text", ""))[:_OUTPUT_CHARACTERS])
            case "step_done":
                self._end_step(frame)

    def text(self, frame: dict[str, Any], name: str, characters: int) -> str:
        """Return the end of a frame's field."""
        return redact(str(frame.get(name, "")), self._secrets)[-characters:]

    def _end_step(self, frame: dict[str, Any]) -> None:
        note, seconds = self.text(frame, "note", _NOTE_CHARACTERS), frame.get("seconds")
        known = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 86_400 else 0.0  # noqa: PLR2004 - a day
        self.steps.append(Step(name=self.step, seconds=known, note=note))
        self.log.step_done(known, note)
