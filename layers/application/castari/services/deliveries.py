"""Tells receivers that invocations are over: an attempt, what became of it, and when there is another."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from castari.adapters.callbacks import CallbackAnswer, CallbackSender
from castari.adapters.signatures import signature_headers
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.callbacks import CallbacksTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.clock import Clock, utc_now
from castari.errors import CallbackForbidden, CallbackUnanswered, NotFound, StaleWrite
from castari.models import Agent, Callback, Invocation
from castari.schemas.callback_payloads import CallbackPayload
from castari.services.callback_secrets import CallbackSecrets
from castari.services.callbacks import PATIENCE
from castari.settings import Limits

MOST_ATTEMPTS = 9
"""Over 11 to 23 hours. The queue gives a message up after as many deliveries."""
_FIRST_PAUSE_SECONDS = 1
_GROWTH = 6
_HEADERS = {"Content-Type": "application/json", "User-Agent": "Castari-Callback/1"}


@dataclass(frozen=True)
class Delivered:
    """What became of a delivery, in how many seconds to try again, and whether the platform gives it up."""

    result: str
    again_seconds: int | None = None
    gave_up: bool = False


@dataclass(frozen=True)
class Deliveries:
    """At least once: a receiver tells a second delivery by its `webhook-id`, the invocation's id."""

    invocations: InvocationsTable
    agents: AgentsTable
    table: CallbacksTable
    secrets: CallbackSecrets
    sender: CallbackSender
    limits: Limits
    clock: Clock = utc_now
    chance: Callable[[], float] = random.random

    async def deliver(self, invocation_id: str) -> Delivered:
        """Make an attempt, if one is due. Raises `VendorUnavailable`: the message comes again."""
        try:
            invocation = self.invocations.get(invocation_id)
            agent = self._agent_of(invocation)
        except NotFound:
            return Delivered("dropped: its agent is deleted")
        callback = invocation.callback
        if callback is None or not _is_wanted(callback):
            return Delivered("nothing to deliver")
        if early := self._seconds_early(callback):
            return Delivered("not due yet", again_seconds=early)
        after = await self._attempt(invocation, callback, agent)
        look_at = (after.next_attempt_at or self.clock()) + PATIENCE if after.status == "pending" else None
        try:
            self.table.change(invocation, after, look_at=look_at)
        except StaleWrite:
            return Delivered("delivered twice at once")
        return self._told(after)

    def _agent_of(self, invocation: Invocation) -> Agent:
        agent = self.agents.get(invocation.user_id, invocation.slug)
        if agent.agent_id != invocation.agent_id:
            raise NotFound("Agent not found")
        return agent

    def _seconds_early(self, callback: Callback) -> int:
        """Return how long another message of the same invocation has put the next attempt off."""
        if callback.next_attempt_at is None:
            return 0
        return max(0, round((callback.next_attempt_at - self.clock()).total_seconds()))

    async def _attempt(self, invocation: Invocation, callback: Callback, agent: Agent) -> Callback:
        """Send it once, and return what the callback is like after that."""
        body = CallbackPayload.of_invocation(invocation).model_dump_json()
        counted = callback.model_copy(
            update={"attempts": callback.attempts + 1, "last_status": None, "next_attempt_at": None}
        )
        try:
            signed = signature_headers(
                self.secrets.signing(agent), message_id=invocation.invocation_id, at=self.clock(), body=body
            )
            answer = await self.sender.post(callback.url, body.encode(), _HEADERS | signed)
        except CallbackForbidden as error:
            return counted.model_copy(update={"status": "failed", "message": str(error)})
        except CallbackUnanswered as error:
            return self._failed(counted, str(error), 0)
        return self._answered(counted.model_copy(update={"last_status": answer.status}), answer)

    def _answered(self, callback: Callback, answer: CallbackAnswer) -> Callback:
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            told = {"status": "delivered", "message": None, "delivered_at": self.clock()}
            return callback.model_copy(update=told)
        if answer.status == HTTPStatus.GONE:
            gone = "the receiver answered 410: it wants no more of it"
            return callback.model_copy(update={"status": "failed", "message": gone})
        return self._failed(callback, _refusal(answer.status), answer.retry_after_seconds or 0)

    def _failed(self, callback: Callback, why: str, least_seconds: int) -> Callback:
        if callback.attempts >= MOST_ATTEMPTS:
            return callback.model_copy(update={"status": "failed", "message": why})
        longest = self.limits.callback_longest_pause_seconds
        pause = min(longest, _FIRST_PAUSE_SECONDS * _GROWTH ** (callback.attempts - 1))
        # Spread over a half, so that what failed together does not come back together.
        seconds = max(pause * (1 + self.chance()) / 2, min(least_seconds, longest))
        next_at = self.clock() + timedelta(seconds=seconds)
        return callback.model_copy(update={"status": "pending", "message": why, "next_attempt_at": next_at})

    def _told(self, after: Callback) -> Delivered:
        result = f"{after.status} at attempt {after.attempts}, answer {after.last_status or 'none'}"
        if after.status == "pending":
            return Delivered(result, again_seconds=_seconds_until(after.next_attempt_at, self.clock()))
        return Delivered(result, gave_up=after.status == "failed" and after.attempts >= MOST_ATTEMPTS)


def _is_wanted(callback: Callback) -> bool:
    """Tell whether it is to be sent; one that was given up comes again when the operator sends it back."""
    gave_up = callback.status == "failed" and callback.attempts >= MOST_ATTEMPTS
    return callback.status == "pending" or gave_up


def _seconds_until(at: datetime | None, now: datetime) -> int:
    return max(1, round((at - now).total_seconds())) if at else 1


def _refusal(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"the receiver answered {status}: redirects are not followed, name where they lead to"
    return f"the receiver answered {status}: it has to answer 200 to 299"
