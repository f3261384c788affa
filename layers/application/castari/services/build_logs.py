"""A build's log, written while it runs: bounded, and never a reason for the build to fail."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import SecretStr

from castari.adapters.tables.build_logs import BuildLogsTable
from castari.clock import Clock, utc_now
from castari.errors import StaleWrite, VendorUnavailable
from castari.models import LogEntry, LogKind
from castari.services.redaction import Redaction

_MOST_OUTPUT_CHARACTERS = 256 * 1024
_MOST_OUTPUT_ENTRIES = 500
_LEFT_OUT = "… what follows is left out of this log\n"


@dataclass
class BuildLog:
    """The log of one version, as one worker writes it."""

    table: BuildLogsTable
    version_id: str
    clock: Clock = utc_now
    _next: int | None = None
    _step: str = ""
    _characters: int = 0
    _outputs: int = 0
    _output: Redaction = field(default_factory=Redaction)

    def keep_out(self, secrets: Iterable[SecretStr]) -> None:
        """Take these values out of all output from now on."""
        self._output = Redaction(secrets)

    def note(self, text: str) -> None:
        """Say something about the deploy."""
        self._append("note", text)

    def step_started(self, step: str) -> None:
        """Begin a step."""
        self._step = step
        self._append("step_started", "")

    def step_done(self, seconds: float, note: str) -> None:
        """End a step well."""
        self._flush()
        self._append("step_done", note, seconds)

    def failed(self, message: str) -> None:
        """End the log with why."""
        self._flush()
        self._append("failed", message)

    def output(self, text: str) -> None:
        """Take in a piece of a command's output."""
        self._write_output(self._output.feed(text))

    def _flush(self) -> None:
        self._write_output(self._output.end())

    def _write_output(self, text: str) -> None:
        room = _MOST_OUTPUT_CHARACTERS - self._characters
        if not text or room <= 0:
            return
        self._outputs += 1
        self._characters += len(text)
        if len(text) > room or self._outputs >= _MOST_OUTPUT_ENTRIES:
            self._characters = _MOST_OUTPUT_CHARACTERS
            text = text[:room] + _LEFT_OUT
        self._append("output", text)

    def _append(self, kind: LogKind, text: str, seconds: float | None = None) -> None:
        # A log that another worker goes on with, or that cannot be stored, is no reason to fail.
        with suppress(StaleWrite, VendorUnavailable):
            if self._next is None:
                self._next = self.table.length(self.version_id)
            entry = LogEntry(
                version_id=self.version_id,
                offset=self._next,
                at=self.clock(),
                kind=kind,
                step=self._step,
                text=text,
                seconds=seconds,
            )
            self.table.append(entry)
            self._next += 1
