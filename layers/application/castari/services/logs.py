"""The log of an invocation: what happened to it and when, and what its agent printed on stderr."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from castari.adapters.results import ResultBucket, log_key
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import NotFound
from castari.models import Agent, Invocation, InvocationStatus
from castari.services.invocation_states import is_terminal
from castari.settings import Limits

_JSON_BYTES = 5_000_000
"""A Lambda's answer ends at 6 MB, with the body as a JSON string in it."""
_LONGEST_CHARACTER_BYTES = 4


@dataclass(frozen=True)
class LogEvent:
    """Something that happened."""

    at: datetime
    event: str
    detail: str | None = None


@dataclass(frozen=True)
class Log:
    """What is known; `stderr` holds the end of all `stderr_bytes`, in base64 where it is no text."""

    invocation_id: str
    status: InvocationStatus
    attempt: int
    events: tuple[LogEvent, ...]
    stderr: str
    stderr_is_base64: bool
    stderr_bytes: int
    truncated: bool
    notice: str | None


@dataclass(frozen=True)
class Logs:
    """Puts logs together from the row and, where stderr is long, the result bucket."""

    invocations: InvocationsTable
    results: ResultBucket
    limits: Limits

    def read(self, agent: Agent, invocation_id: str) -> Log:
        """Return the log of one invocation of the agent, as far as there is one. Raises `NotFound`."""
        invocation = self.invocations.get(invocation_id)
        if invocation.agent_id != agent.agent_id:
            raise NotFound("Invocation not found")
        kept = self._stderr(invocation)
        text, is_base64, sent = _fitting(kept)
        return Log(
            invocation_id=invocation.invocation_id,
            status=invocation.status,
            attempt=invocation.attempt,
            events=tuple(_events(invocation)),
            stderr=text,
            stderr_is_base64=is_base64,
            stderr_bytes=invocation.stderr_bytes,
            truncated=sent < len(kept) or _lacks_its_front(invocation, kept),
            notice=_notice(invocation, kept),
        )

    def _stderr(self, invocation: Invocation) -> bytes:
        if invocation.stderr_stored_bytes:
            key = log_key(invocation.invocation_id, invocation.attempt)
            with suppress(NotFound):
                return self.results.read(key, limit_bytes=self.limits.log_kept_bytes)[0]
        return (invocation.stderr_tail or "").encode()


def _lacks_its_front(invocation: Invocation, kept: bytes) -> bool:
    """Tell whether more was printed than kept; what was stored may have got shorter by naming sources."""
    if invocation.stderr_stored_bytes and len(kept) >= invocation.stderr_stored_bytes:
        return any(event.name == "stderr_full" for event in invocation.events)
    return invocation.stderr_bytes > len(kept)


def _events(invocation: Invocation) -> Iterator[LogEvent]:
    """Yield what is known, in its order; what a sandbox tells lies between what we saw ourselves."""
    yield LogEvent(invocation.created_at, "accepted")
    for past in invocation.past_attempts:
        if past.started_at:
            yield LogEvent(past.started_at, "attempt_started", f"attempt {past.number}")
        yield LogEvent(past.ended_at, "attempt_lost", past.message)
    if invocation.started_at:
        yield LogEvent(invocation.started_at, "attempt_started", f"attempt {invocation.attempt}")
        yield from _told(invocation, invocation.started_at)
    if invocation.finished_at:
        message = f": {invocation.failure.message}" if invocation.failure else ""
        yield LogEvent(invocation.finished_at, "ended", f"{invocation.status}{message}")


def _told(invocation: Invocation, started_at: datetime) -> Iterator[LogEvent]:
    latest = invocation.finished_at or started_at
    for told in invocation.events:
        offset = (invocation.start_milliseconds or 0) + told.at_milliseconds
        at = min(started_at + timedelta(milliseconds=offset), latest)
        yield LogEvent(at, told.name, _detail(invocation, told.name))


def _detail(invocation: Invocation, event: str) -> str | None:
    match event:
        case "limit_reached":
            return f"{invocation.timeout_seconds} s"
        case "agent_exited" if invocation.exit_code is not None:
            return f"exit code {invocation.exit_code}"
        case "agent_exited" if invocation.failure and invocation.failure.signal:
            return invocation.failure.signal
        case _:
            return None


def _notice(invocation: Invocation, kept: bytes) -> str | None:
    """Return why there is less than one might expect, and where to look."""
    if not is_terminal(invocation):
        return "it is not over: GET …/output?stream=stderr reads its log while it runs"
    if invocation.started_at is None or (invocation.run_milliseconds == 0 and not invocation.events):
        return "nothing was started, so nothing was printed"
    if invocation.run_milliseconds is None:
        return "its sandbox ended before it handed in its log: what the agent printed is not known"
    if len(kept) < invocation.stderr_stored_bytes:
        return "its log is older than logs are kept: this is its end"
    if _lacks_its_front(invocation, kept):
        return "it printed more than is kept: this is the end of it"
    return None


def _fitting(content: bytes) -> tuple[str, bool, int]:
    """Return the end of the content that fits into an answer, whether as base64, and how many bytes it is."""
    text, is_base64 = _as_text(content)
    while len(json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False).encode()) > _JSON_BYTES:
        content = content[-(len(content) * 9 // 10) :]
        text, is_base64 = _as_text(content)
    return text, is_base64, len(content)


def _as_text(content: bytes) -> tuple[str, bool]:
    """Return text, else base64; up to three bytes of a character that was cut at the front are dropped."""
    for dropped in range(_LONGEST_CHARACTER_BYTES):
        try:
            return content[dropped:].decode(), False
        except UnicodeDecodeError:
            continue
    return base64.b64encode(content).decode(), True
