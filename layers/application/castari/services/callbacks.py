"""Callbacks of invocations: asked for with the prompt, announced at the end, reminded of by sweep."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from castari import callback_urls
from castari.adapters.queues import Queue
from castari.adapters.tables.callbacks import CallbacksTable
from castari.clock import Clock, utc_now
from castari.errors import Conflict, StaleWrite, Unprocessable, VendorUnavailable
from castari.messages import DeliverCallback
from castari.models import Agent, Callback, Invocation
from castari.settings import Limits

PATIENCE = timedelta(minutes=10)
"""A callback that nobody saw to for so long after it was due is announced again: its message may be gone."""
GIVE_UP = timedelta(days=3)
_MOST_AT_ONCE = 500


def check_url(url: str, limits: Limits) -> None:
    """Raise `Unprocessable` for http, unless it leads to the one port of this machine that is admitted."""
    target = callback_urls.parse(url)
    if target.is_plain and target.port != limits.loopback_callback_port:
        raise Unprocessable("must begin with https://", field=("body", "callback_url"))


def check_secret(agent: Agent) -> None:
    """Raise `Conflict` if nothing could be signed yet: whoever makes the secret sees it, and only then."""
    if agent.callback_secret is None:
        raise Conflict(
            f"agent `{agent.slug}` has no callback secret",
            remedy=f"make one first: `cast callbacks secret {agent.slug}`,"
            f" or POST /api/v1/agents/{agent.slug}/callback-secret",
        )


def callback_of(agent: Agent, url: str | None, limits: Limits) -> Callback | None:
    """Return the callback of an invocation: to `url`, else to the agent's own. Raises as the checks."""
    wanted = url or agent.callback_url
    if wanted is None:
        return None
    check_url(wanted, limits)
    check_secret(agent)
    return Callback(url=wanted)


def ending(invocation: Invocation, now: datetime) -> dict[str, object]:
    """Return what the end of an invocation changes about its callback, with the same write."""
    if invocation.callback is None:
        return {}
    return {
        "callback": invocation.callback.model_copy(update={"status": "pending"}),
        "deadline_at": now + PATIENCE,
    }


@dataclass(frozen=True)
class Callbacks:
    """One message for each end; where it was never sent, or is gone, sweep sends another."""

    table: CallbacksTable
    queue: Queue
    clock: Clock = utc_now

    def announce(self, finished: Invocation) -> None:
        """Have the end of an invocation told, if anybody wants to know."""
        if finished.callback:
            with suppress(VendorUnavailable):
                self._send(finished)

    def remind(self) -> int:
        """Announce again what nobody saw to, and give up what nobody could; return how many there were."""
        overdue = islice(self.table.overdue(self.clock()), _MOST_AT_ONCE)
        return sum(self._reminded(finished) for finished in overdue)

    def _reminded(self, finished: Invocation) -> bool:
        """The index may lag: what was seen to meanwhile has another callback by now."""
        if finished.callback is None:
            return False
        now = self.clock()
        with suppress(StaleWrite, VendorUnavailable):
            if now - (finished.finished_at or finished.created_at) > GIVE_UP:
                given_up = {
                    "status": "failed",
                    "message": "no attempt came to an end",
                    "next_attempt_at": None,
                }
                self.table.change(finished, finished.callback.model_copy(update=given_up), look_at=None)
            else:
                self.table.change(finished, finished.callback, look_at=now + PATIENCE)
                self._send(finished)
            return True
        return False

    def _send(self, finished: Invocation) -> None:
        self.queue.send(DeliverCallback(invocation_id=finished.invocation_id), group=finished.user_id)
