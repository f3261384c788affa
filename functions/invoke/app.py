"""HTTP invoke: starts an invocation, waits as long as the gateway allows, answers 200 or 202."""

import base64
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from castari import bootstrap, bootstrap_sandboxes
from castari.errors import InvalidRequest
from castari.http.answers import Answer, Event, answer
from castari.http.idempotency import header_of, request_of
from castari.http.serving import serve
from castari.http.validation import parse_json, validation_answer
from castari.models import ApiKey, Invocation, InvocationStatus
from castari.observability import logger, metrics, tracer
from castari.schemas.invocations import InvocationAccepted, InvocationCreate, InvocationResponse

_ANSWERS: dict[InvocationStatus, tuple[int, str]] = {
    "failed": (500, "Agent execution failed"),
    "timed_out": (504, "Timeout exceeded"),
    "lost": (502, "Sandbox lost"),
    "cancelled": (409, "Invocation cancelled"),
}


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway, payload format 2.0."""
    return serve(event, bootstrap.authentication(), _respond)


def _respond(event: Event, key: ApiKey) -> Answer:
    try:
        request = InvocationCreate.model_validate(parse_json(_body(event)))
    except ValidationError as error:
        return validation_answer([{**each, "loc": ("body", *each["loc"])} for each in error.errors()])
    agent = bootstrap.agents().get(key.user_id, event["pathParameters"]["slug"])
    draft = bootstrap.invocations().draft(
        agent,
        request.prompt,
        timeout_seconds=request.timeout_seconds,
        session_id=request.session_id,
        request=request_of(agent, header_of(event), request),
    )
    logger.append_keys(agent_id=agent.agent_id, invocation_id=draft.invocation_id)
    called = bootstrap_sandboxes.calls().call(agent, draft, _seconds_left(event))
    invocation = bootstrap_sandboxes.run(called)
    logger.append_keys(status=invocation.status, sandbox_id=invocation.sandbox_id)
    return _answer(invocation)


def _body(event: Event) -> str:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body)
    try:
        return base64.b64decode(body).decode()
    except ValueError as error:
        raise InvalidRequest("the body is not UTF-8 text") from error


def _seconds_left(event: Event) -> float:
    """Return what is left of the gateway's patience, counted from its own time stamp."""
    began_milliseconds: int = event["requestContext"].get("timeEpoch", time.time() * 1000)
    return bootstrap.settings().limits.answer_budget_seconds - (time.time() - began_milliseconds / 1000)


def _answer(invocation: Invocation) -> Answer:
    if invocation.status in {"queued", "running"}:
        location = f"/api/v1/agents/{invocation.slug}/invocations/{invocation.invocation_id}"
        accepted = InvocationAccepted.of(invocation).model_dump(mode="json")
        return answer(202, accepted, {"Location": location})
    answered = bootstrap.invocations().with_answer(invocation)
    body = InvocationResponse.of_invocation(answered).model_dump(mode="json")
    if invocation.status not in _ANSWERS:
        return answer(200, body)
    status, detail = _ANSWERS[invocation.status]
    remedy = invocation.failure.remedy if invocation.failure else None
    return answer(status, {**body, "detail": detail, "remedy": remedy})
