"""What the functions that invoke share: how a prompt arrives, how long its caller waits, and the answer."""

import base64
import re

from castari.errors import InvalidRequest
from castari.http.answers import Answer, Event, answer
from castari.http.idempotency import header_of, request_of
from castari.http.validation import checked, parse_json, query_of
from castari.models import Agent, Invocation, InvocationStatus
from castari.schemas.invocations import (
    InvocationAccepted,
    InvocationCreate,
    InvocationResponse,
    InvokeQuery,
)
from castari.services.invocations import Invocations

_ANSWERS: dict[InvocationStatus, tuple[int, str]] = {
    "failed": (500, "Agent execution failed"),
    "timed_out": (504, "Timeout exceeded"),
    "lost": (502, "Sandbox lost"),
    "cancelled": (409, "Invocation cancelled"),
}
_RESPOND_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?:$|[,;\s])", re.IGNORECASE)
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,9})(?:$|[,;\s])", re.IGNORECASE)


def prompt_of(event: Event) -> InvocationCreate:
    """Return what a request asks an agent. Raises `FieldsRefused`, `InvalidRequest`, `Unprocessable`."""
    return checked(InvocationCreate, parse_json(_body(event)), "body")


def likely_claims(event: Event) -> bool:
    """Tell whether a request that is not checked yet looks like one for a warm sandbox.

    A session has a sandbox of its own, and whoever says how to wait may leave it to the queue.
    """
    asked = f"{query_of(event)} {event.get('headers', {}).get('prefer', '')}"
    body = event.get("body") or ""
    return not (event.get("isBase64Encoded") or "wait" in asked or "async" in asked or '"session' in body)


def draft_of(invocations: Invocations, agent: Agent, event: Event, prompt: InvocationCreate) -> Invocation:
    """Return a prompt's invocation, not written yet. Raises as `Invocations.draft` does."""
    return invocations.draft(
        agent,
        prompt.prompt,
        timeout_seconds=prompt.timeout_seconds,
        session_id=prompt.session_id,
        new_session=prompt.session,
        callback_url=prompt.callback_url,
        request=request_of(agent, header_of(event), prompt),
    )


def log_keys(invocation: Invocation) -> dict[str, str | None]:
    """Return what the request's log line says of an invocation."""
    return {
        "agent_id": invocation.agent_id,
        "invocation_id": invocation.invocation_id,
        "status": invocation.status,
        "sandbox_id": invocation.sandbox_id,
    }


def wait_of(event: Event) -> float | None:
    """Return how many seconds the caller wants to wait: by `?wait=` or `Prefer` (RFC 7240); None if unsaid.

    A preference may be answered in another way, a parameter is an order. Raises `FieldsRefused`.
    """
    if (wait := checked(InvokeQuery, dict(query_of(event)), "query").wait) is not None:
        return wait
    prefer = event.get("headers", {}).get("prefer", "")
    if _RESPOND_ASYNC.search(prefer):
        return 0
    found = _WAIT.search(prefer)
    return float(found[1]) if found else None


def outcome_answer(invocation: Invocation) -> Answer:
    """Return the answer to an invocation that is waited for: finished with its answer, or still open."""
    if invocation.status in {"queued", "running"}:
        location = f"/api/v1/agents/{invocation.slug}/invocations/{invocation.invocation_id}"
        accepted = InvocationAccepted.of(invocation).model_dump(mode="json")
        return answer(202, accepted, {"Location": location})
    body = InvocationResponse.of_invocation(invocation).model_dump(mode="json")
    if invocation.status not in _ANSWERS:
        return answer(200, body)
    status, detail = _ANSWERS[invocation.status]
    remedy = invocation.failure.remedy if invocation.failure else None
    return answer(status, {**body, "detail": detail, "remedy": remedy})


def _body(event: Event) -> str:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body)
    try:
        return base64.b64decode(body).decode()
    except ValueError as error:
        raise InvalidRequest("the body is not UTF-8 text") from error
