"""The end of an invocation: one conditional write, which only the first finisher wins."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError

from castari import durations
from castari.adapters.results import ResultBucket, response_key, result_key
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.session_holds import SessionHolds
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite
from castari.models import DailyUsage, Invocation
from castari.reports import LONGEST_REPORT_BYTES, RunReport
from castari.services import callbacks, invocation_states, outcomes, session_states
from castari.services.callbacks import Callbacks
from castari.services.outcomes import NOTHING_STARTED, Outcome
from castari.services.requeues import Requeues

_STDERR_BYTES = 32 * 1024
_USED = ("input_tokens", "output_tokens", "cost_micro_dollars")


@dataclass(frozen=True)
class Finished:
    """An invocation as it stands now, whether we ended its attempt, and the sandbox that did it."""

    invocation: Invocation
    won: bool
    sandbox_id: str | None
    rests: bool = False
    """Whether the sandbox is a session's that goes on: it is paused, and there is none to kill."""


@dataclass(frozen=True)
class Finishes:
    """Ends attempts, and with them invocations. Whoever wins kills the sandbox next, and only then."""

    invocations: InvocationsTable
    results: ResultBucket
    requeues: Requeues
    holds: SessionHolds
    keep_session: timedelta
    callbacks: Callbacks
    clock: Clock = utc_now

    def by_report(self, invocation: Invocation, report: RunReport) -> Finished:
        """Finish with what the runner handed in for this attempt."""
        outcome = outcomes.of_report(report, invocation.timeout_seconds)
        facts = _answer(invocation, report) | _log(report) | report.usage.model_dump()
        facts |= durations.reported(invocation, report, self.clock())
        return self._finish(invocation, outcome, facts, reported=True)

    def by_stored_report(self, invocation: Invocation, otherwise: Outcome) -> Finished:
        """Finish with what is stored for this attempt, or with another outcome where nothing is.

        A lost attempt is made again where its agent may run twice: then the invocation is queued. In a
        session it is not, for what was in the sandbox is lost too.
        """
        if report := self.stored_report(invocation):
            return self.by_report(invocation, report)
        if otherwise.status == "lost" and invocation.retries_left and not invocation.in_session:
            return self._retry(invocation, otherwise)
        return self.without_report(invocation, otherwise)

    def without_report(self, invocation: Invocation, outcome: Outcome) -> Finished:
        """Finish an invocation that handed nothing in."""
        code = outcome.failure.code if outcome.failure else None
        began = invocation.started_at is not None and code not in NOTHING_STARTED
        parts = {} if began else durations.not_started(invocation, self.clock())
        return self._finish(invocation, outcome, parts, reported=False)

    def stored_report(self, invocation: Invocation) -> RunReport | None:
        """Return what this attempt handed in, or None if that is nothing that can be used."""
        key = result_key(invocation.invocation_id, invocation.attempt)
        try:
            content, complete = self.results.read(key, limit_bytes=LONGEST_REPORT_BYTES)
            report = RunReport.model_validate_json(content) if complete else None
        except (NotFound, ValidationError):
            return None
        return report

    def _retry(self, invocation: Invocation, outcome: Outcome) -> Finished:
        why = outcome.failure.message if outcome.failure else outcome.status
        try:
            queued = self.requeues.retry(invocation, why)
        except StaleWrite:
            return Finished(self.current(invocation), won=False, sandbox_id=None)
        if queued is None:
            return self.without_report(invocation, outcome)
        return Finished(queued, won=True, sandbox_id=invocation.sandbox_id)

    def _finish(
        self, invocation: Invocation, outcome: Outcome, more: dict[str, object], *, reported: bool
    ) -> Finished:
        """Make it terminal and have it told, if we are the first."""
        finished = self._make_terminal(invocation, outcome, more, reported=reported)
        if finished.won:
            self.callbacks.announce(finished.invocation)
        return finished

    def _make_terminal(
        self, invocation: Invocation, outcome: Outcome, more: dict[str, object], *, reported: bool
    ) -> Finished:
        now = self.clock()
        changes = {
            **invocation_states.step(invocation, outcome.status),
            **more,
            **callbacks.ending(invocation, now),
            "failure": outcome.failure,
            "sealed_access": None,
            "finished_at": now,
            "duration_milliseconds": durations.duration(invocation, now),
        }
        used = {name: more[name] for name in _USED if name in more}
        usage = DailyUsage.model_validate({"date": now.date(), "invocation_count": 1, **used})
        try:
            again = outcome.failure is not None and outcome.failure.code in NOTHING_STARTED
            if invocation.in_session and invocation.status == "running":
                ending = None if reported else _session_ending(invocation, outcome)
                return self._finish_in_session(invocation, changes, usage, ending, again=again)
            finished = self.invocations.finish(invocation, changes, usage, again=again)
            return Finished(finished, won=True, sandbox_id=invocation.sandbox_id)
        except StaleWrite:
            return Finished(self.current(invocation), won=False, sandbox_id=None)

    def _finish_in_session(
        self,
        invocation: Invocation,
        changes: dict[str, object],
        usage: DailyUsage,
        ending: str | None,
        *,
        again: bool,
    ) -> Finished:
        """Finish and let go of the session, or end it with what `ending` says."""
        now = self.clock()
        session = (
            session_states.ended(ending, now) if ending else session_states.released(now, self.keep_session)
        )
        held = self.holds.finish(invocation, changes, usage, session, again=again)
        finished = invocation.model_copy(update=changes)
        rests = held and not ending
        return Finished(finished, won=True, sandbox_id=None if rests else invocation.sandbox_id, rests=rests)

    def current(self, invocation: Invocation) -> Invocation:
        """Return the invocation as its row is now."""
        return self.invocations.get(invocation.invocation_id)


def _answer(invocation: Invocation, report: RunReport) -> dict[str, object]:
    stored = response_key(invocation.invocation_id, invocation.attempt) if report.stdout_stored else None
    return {
        "response": None if stored else report.stdout,
        "response_key": stored,
        "response_is_base64": report.stdout_is_base64,
        "truncated": report.truncated,
    }


def _log(report: RunReport) -> dict[str, object]:
    tail = (report.stderr or "").encode()[-_STDERR_BYTES:].decode("utf-8", "ignore")
    return {
        "stderr_tail": tail or None,
        "stderr_bytes": report.stderr_bytes,
        "stderr_stored_bytes": report.stderr_stored_bytes,
        "events": report.events,
        "exit_code": report.exit_code,
    }


def _session_ending(invocation: Invocation, outcome: Outcome) -> str | None:
    """Return why a session ends whose invocation left no report, or None if nothing was started in it."""
    match outcome.failure.code if outcome.failure else None:
        case "vendor_unavailable":
            return None
        case "session_ended":
            return "its sandbox is gone"
        case _:
            status = outcome.status.replace("_", " ")
            return f"its sandbox was ended because {invocation.invocation_id} ended there as {status}"
