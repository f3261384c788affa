"""Invocations as their owner sees them: submitted, looked at, listed."""

import base64
import json
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.queues import Queue
from castari.adapters.results import ResultBucket
from castari.adapters.tables.invocations import InvocationsTable
from castari.clock import Clock, utc_now
from castari.errors import Conflict, NotFound, RequestRepeated, TooLarge, Unprocessable
from castari.ids import new_id
from castari.messages import StartInvocation
from castari.models import ActiveVersion, Agent, History, Invocation, RequestKey
from castari.services.callbacks import callback_of
from castari.services.requests import Requests
from castari.services.requeues import REMINDER_SECONDS
from castari.settings import Limits

_RESPONSE_JSON_BYTES = 5_500_000
"""A Lambda's answer ends at 6 MB, with the body as a JSON string in it."""


def require_active(agent: Agent) -> ActiveVersion:
    """Return the version that serves the agent now. Raises `Conflict`."""
    if agent.active_version is None or agent.status == "stopped":
        remedy = {
            "deploying": "wait until its first deploy is done",
            "error": "its deploy failed: read its status_message, mend the bundle and deploy again",
        }.get(agent.status, f"deploy it first: `cast deploy {agent.slug}`")
        raise Conflict("Agent not active", remedy=remedy)
    return agent.active_version


@dataclass(frozen=True)
class Invocations:
    """What the API offers of invocations."""

    invocations: InvocationsTable
    results: ResultBucket
    queue: Queue
    requests: Requests
    limits: Limits
    clock: Clock = utc_now

    def submit(
        self,
        agent: Agent,
        prompt: str,
        *,
        timeout_seconds: int | None = None,
        session_id: str | None = None,
        new_session: bool = False,
        callback_url: str | None = None,
        request: RequestKey | None = None,
    ) -> Invocation:
        """Queue a prompt, or return what the same request made before.

        Raises `Conflict` if the agent is not active or cannot sign the callback, `TooLarge`, `Unprocessable`
        for a key of another body and for a callback to where none may go.
        """
        if earlier := self.requests.earlier(request):
            return earlier
        draft = self.draft(
            agent,
            prompt,
            timeout_seconds=timeout_seconds,
            session_id=session_id,
            new_session=new_session,
            callback_url=callback_url,
            request=request,
        )
        return self.enqueue(draft)

    def enqueue(self, draft: Invocation) -> Invocation:
        """Write a draft and queue it, or return what the same request made before. Raises `Unprocessable`."""
        try:
            self.invocations.create(draft)
        except RequestRepeated:
            if earlier := self.requests.earlier(draft.request):
                return earlier
            raise
        self.queue.send(StartInvocation(invocation_id=draft.invocation_id), group=draft.user_id)
        return draft

    def draft(
        self,
        agent: Agent,
        prompt: str,
        *,
        timeout_seconds: int | None = None,
        session_id: str | None = None,
        new_session: bool = False,
        callback_url: str | None = None,
        request: RequestKey | None = None,
    ) -> Invocation:
        """Return a queued invocation that is not written yet; a long prompt is stored. Raises as `submit`.

        It runs in the session `session_id`, or in one whose id is made up here if `new_session` says so.
        """
        require_active(agent)
        size = len(prompt.encode())
        if size > self.limits.prompt_bytes:
            raise TooLarge(
                f"the prompt has {size} bytes, the limit is {self.limits.prompt_bytes}: attach a file instead"
            )
        callback = callback_of(agent, callback_url, self.limits)
        now, invocation_id = self.clock(), new_id("inv")
        short = size <= self.limits.prompt_inline_bytes
        return Invocation(
            invocation_id=invocation_id,
            session_id=session_id or new_id("sess"),
            in_session=session_id is not None or new_session,
            user_id=agent.user_id,
            agent_id=agent.agent_id,
            slug=agent.slug,
            status="queued",
            timeout_seconds=timeout_seconds or agent.timeout_seconds or self.limits.default_timeout_seconds,
            prompt=prompt if short else None,
            prompt_key=None if short else self.results.put_prompt(invocation_id, prompt),
            deadline_at=now + timedelta(seconds=REMINDER_SECONDS),
            request=request,
            callback=callback,
            created_at=now,
        )

    def find(self, agent: Agent, invocation_id: str) -> Invocation:
        """Return one invocation of the agent; a long answer is left where it is. Raises `NotFound`."""
        invocation = self.invocations.get(invocation_id)
        if invocation.agent_id != agent.agent_id:
            raise NotFound("Invocation not found")
        return invocation

    def list_for_agent(
        self, agent: Agent, *, limit: int, offset: int, history: History | None = None
    ) -> list[Invocation]:
        """Return the agent's invocations, newest first; long answers are left where they are.

        Raises `Unprocessable` for a span of time that ends before it begins.
        """
        if history and history.since and history.until and history.since >= history.until:
            raise Unprocessable("must be later than `since`", field=("query", "until"))
        return self.invocations.list_for_agent(agent.agent_id, limit=limit, offset=offset, history=history)

    def with_answer(self, invocation: Invocation) -> Invocation:
        """Return the invocation with its answer read from wherever it is kept, cut to what can be sent."""
        if invocation.response_key is None:
            return invocation
        limit = self.limits.output_inline_bytes
        try:
            content, complete = self.results.read(invocation.response_key, limit_bytes=limit)
        except NotFound:
            return invocation.model_copy(update={"truncated": True})
        text, is_base64 = _as_text(content)
        fitting = _fitting(text)
        cut = not complete or len(fitting) < len(text)
        return invocation.model_copy(
            update={
                "response": fitting,
                "response_is_base64": is_base64,
                "truncated": invocation.truncated or cut,
            }
        )


def _as_text(content: bytes) -> tuple[str, bool]:
    """Return text, else base64; up to three bytes of a character that was cut at the end are dropped."""
    for dropped in range(4):
        try:
            return content[: len(content) - dropped].decode(), False
        except UnicodeDecodeError:
            continue
    return base64.b64encode(content).decode(), True


def _fitting(text: str) -> str:
    """Return as much of the text as fits; quotes and line ends count several times in JSON within JSON."""
    while (
        len(json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False).encode())
        > _RESPONSE_JSON_BYTES
    ):
        text = text[: len(text) * 9 // 40 * 4]  # A multiple of four, so that base64 stays whole.
    return text
