"""Waits for invocations to be over, with looks that cost next to nothing: once a second at most."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from castari.adapters.tables.invocations import InvocationsTable
from castari.models import TERMINAL_STATUSES, Invocation
from castari.services.invocation_states import is_terminal
from castari.services.pauses import pauses


@dataclass(frozen=True)
class LongPolls:
    """For callers that would otherwise ask again and again."""

    invocations: InvocationsTable
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def until_over(self, invocation: Invocation, seconds: float) -> Invocation:
        """Return the invocation once it is over, or as it is after `seconds`."""
        ends_at = self.clock() + seconds
        if is_terminal(invocation) or seconds <= 0:
            return invocation
        for pause in pauses():
            if (left := ends_at - self.clock()) <= 0:
                break
            self.sleep(min(pause, left))
            if self.invocations.status(invocation.invocation_id) in TERMINAL_STATUSES:
                break
        return self.invocations.get(invocation.invocation_id)
