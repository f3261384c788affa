"""Puts invocations back into the queue: where nothing was started, or where the agent may run once more."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from castari.adapters.queues import Queue
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.session_holds import SessionHolds
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, VendorUnavailable
from castari.messages import StartInvocation
from castari.models import Invocation, PastAttempt
from castari.services import invocation_states, session_states

QUEUE_SECONDS = 30 * 60
"""How long an invocation may wait for a sandbox before it fails."""
REMINDER_SECONDS = 5 * 60
"""A queued invocation that was not begun for so long is set out again: its message may be gone."""
_LONGEST_PAUSE_SECONDS = 60
_LONGEST_WAIT_SECONDS = 20


@dataclass(frozen=True)
class Requeues:
    """Each is one conditional write, then one message; where that fails, sweep sends it."""

    invocations: InvocationsTable
    queue: Queue
    holds: SessionHolds
    keep_session: timedelta
    clock: Clock = utc_now

    def not_started(self, claimed: Invocation) -> int:
        """Queue an attempt again that started nothing; return its pause in seconds. Raises `StaleWrite`."""
        pause = min(_LONGEST_PAUSE_SECONDS, 1 << min(claimed.attempt, 6))
        self._back(claimed, {}, pause)
        return pause

    def retry(self, lost: Invocation, why: str) -> Invocation | None:
        """Queue a lost attempt again if its agent may run once more; None if it may not.

        Raises `StaleWrite`.
        """
        if not lost.retries_left:
            return None
        now = self.clock()
        attempt = PastAttempt(
            number=lost.attempt,
            sandbox_id=lost.sandbox_id,
            started_at=lost.started_at,
            ended_at=now,
            message=why,
        )
        more = {
            "retries_left": lost.retries_left - 1,
            "past_attempts": (*lost.past_attempts, attempt),
            "queued_at": now,
        }
        return self._back(lost, more, 0)

    def wait(self, queued: Invocation) -> int:
        """Set an invocation out again whose session is busy, less and less often; return in how many seconds.

        Raises `VendorUnavailable`.
        """
        waited = (self.clock() - queued.created_at).total_seconds()
        pause = round(min(_LONGEST_WAIT_SECONDS, max(1.0, waited / 4)))
        self.queue.send(StartInvocation(invocation_id=queued.invocation_id), delay_seconds=pause)
        return pause

    def remind(self, queued: Invocation) -> Invocation:
        """Set a queued invocation out again. Raises `StaleWrite`, `VendorUnavailable`: it is still due."""
        self.queue.send(StartInvocation(invocation_id=queued.invocation_id), group=queued.user_id)
        return self.invocations.change(queued, {"deadline_at": self.reminder_at(0)})

    def waited_too_long(self, invocation: Invocation) -> bool:
        """Tell whether the platform gives up looking for a sandbox."""
        since = invocation.queued_at or invocation.created_at
        return self.clock() >= since + timedelta(seconds=QUEUE_SECONDS)

    def reminder_at(self, pause_seconds: int) -> datetime:
        """Return when sweep looks after what is queued now."""
        return self.clock() + timedelta(seconds=pause_seconds + REMINDER_SECONDS)

    def _back(self, invocation: Invocation, more: dict[str, object], pause: int) -> Invocation:
        changes = {
            **invocation_states.step(invocation, "queued"),
            "sandbox_id": None,
            "sealed_access": None,
            "started_at": None,
            "deadline_at": self.reminder_at(pause),
            **more,
        }
        try:
            waiting = self._change(invocation, changes)
        except StaleWrite:
            # The answer to a write may be lost, and the next try then loses against the first.
            if not self._is_back(invocation):
                raise
            waiting = invocation.model_copy(update=changes)
        message = StartInvocation(invocation_id=waiting.invocation_id)
        try:
            self.queue.send(message, delay_seconds=pause, group=waiting.user_id)
        except VendorUnavailable:
            # Nobody else tells a worker of it: sweep does in its next round, not only when it is overdue.
            with suppress(StaleWrite, VendorUnavailable):
                return self.invocations.change(waiting, {"deadline_at": self.clock()})
        return waiting

    def _is_back(self, invocation: Invocation) -> bool:
        """Tell whether this very attempt waits in the queue again; who told a worker of that is not known."""
        try:
            row = self.invocations.get(invocation.invocation_id)
        except NotFound:
            return False
        ours = (invocation.attempt, invocation.claim_id)
        return row.status == "queued" and (row.attempt, row.claim_id) == ours

    def _change(self, invocation: Invocation, changes: dict[str, object]) -> Invocation:
        """Write the changes; in a session, the next may go first."""
        if not invocation.in_session:
            return self.invocations.change(invocation, changes)
        return self.holds.put_back(
            invocation, changes, session_states.released(self.clock(), self.keep_session)
        )
