"""Requests that are made again: the same key and body lead to the same invocation, whenever they come."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.requests import RequestsTable
from castari.errors import Unprocessable
from castari.messages import StartInvocation
from castari.models import Agent, Invocation, RequestKey
from castari.services.invocation_states import is_terminal
from castari.services.pauses import pauses


def request_key(agent: Agent, key: str, body: Mapping[str, object], *, item: int | None = None) -> RequestKey:
    """Return what tells a request from others: keys are of a user and an agent; `item` counts in a batch.

    Each invocation of a batch has a key of its own, and the body of all: made again after a crash, the batch
    finds those that were made and makes the rest.
    """
    return RequestKey(row_id=_row_id(agent, key, item), body_hash=_body_hash(body))


def batch_keys(agent: Agent, key: str, body: Mapping[str, object], items: int) -> list[RequestKey]:
    """Return the key of each item of a batch."""
    body_hash = _body_hash(body)
    return [RequestKey(row_id=_row_id(agent, key, item), body_hash=body_hash) for item in range(items)]


def _row_id(agent: Agent, key: str, item: int | None) -> str:
    return f"request_{_digest(json.dumps([agent.user_id, agent.agent_id, key, item]))}"


def _body_hash(body: Mapping[str, object]) -> str:
    return _digest(json.dumps(body, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Requests:
    """Finds what was made of a request before."""

    requests: RequestsTable
    invocations: InvocationsTable
    queue: Queue

    def earlier(self, request: RequestKey | None) -> Invocation | None:
        """Return the invocation that this request made before, if any.

        Whoever made it may have died before it was on its way: then it is now. Raises `Unprocessable` if the
        key stands for another body.
        """
        made = self.requests.find(request) if request else None
        if request is None or made is None:
            return None
        if made.body_hash != request.body_hash:
            raise Unprocessable(
                "this key was used with another body within 24 hours: use a new key for a new request",
                field=("header", "Idempotency-Key"),
                kind="idempotency_key_reused",
            )
        invocation = self.invocations.get(made.made)
        if invocation.status == "queued":
            self.queue.send(StartInvocation(invocation_id=invocation.invocation_id), group=invocation.user_id)
        return invocation

    async def result(self, invocation: Invocation, seconds: float) -> Invocation:
        """Return the invocation once it is terminal, or as it is after `seconds`."""
        ends_at = asyncio.get_running_loop().time() + seconds
        for pause in pauses():
            if is_terminal(invocation) or asyncio.get_running_loop().time() + pause > ends_at:
                break
            await asyncio.sleep(pause)
            invocation = await asyncio.to_thread(self.invocations.get, invocation.invocation_id)
        return invocation
