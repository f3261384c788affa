"""HTTP, what looks into sandboxes: invoke, which waits as long as the gateway allows, and live output."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.bootstrap import catalogue, invoking, results, vendor
from castari.bootstrap.settings import settings
from castari.http.answers import Answer, Event
from castari.http.invoking import draft_of, likely_claims, log_keys, outcome_answer, prompt_of, wait_of
from castari.http.patience import seconds_gone
from castari.http.serving import serve
from castari.models import Agent, ApiKey, Invocation
from castari.observability import logger, metrics, tracer
from castari.services.foresight import Foreseen

_LEAST_SECONDS = 5.0
"""With less of the gateway's patience left, a prompt goes by the queue: a sandbox may need as long."""
_HAND_BACK_SECONDS = 1.0
"""For putting a prompt into the queue whose sandbox did not start in time."""


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway, payload format 2.0."""
    if event["rawPath"].endswith("/output"):
        return serve(event, catalogue.authentication(), _output)
    foreseen = catalogue.foresight().begin(
        event.get("headers", {}).get("authorization"),
        event["pathParameters"]["slug"],
        claims=likely_claims(event),
    )
    try:
        return serve(event, catalogue.authentication(), lambda event, key: _invoke(event, key, foreseen))
    finally:
        foreseen.settle()


def _invoke(event: Event, key: ApiKey, foreseen: Foreseen) -> Answer:
    wait, prompt = wait_of(event), prompt_of(event)
    agent = foreseen.agent(key.user_id)
    invocations = results.invocations()
    draft = draft_of(invocations, agent, event, prompt)
    invocation = invocations.enqueue(draft) if wait == 0 else _call(event, agent, draft, wait, foreseen)
    logger.append_keys(**log_keys(invocation))
    return outcome_answer(invocations.with_answer(invocation))


def _call(
    event: Event, agent: Agent, draft: Invocation, wait: float | None, foreseen: Foreseen
) -> Invocation:
    if _seconds_left(event) < _LEAST_SECONDS:
        return results.invocations().enqueue(draft)
    calls = invoking.calls()
    # Only now, for a worker's first call has just imported what touches sandboxes.
    left = _seconds_left(event)
    if left < _LEAST_SECONDS:
        return results.invocations().enqueue(draft)
    seconds = left if wait is None else min(wait, left)
    calling = calls.call(
        agent, draft, seconds, start_seconds=left - _HAND_BACK_SECONDS, offers=foreseen.offers
    )
    return vendor.run(calling)


def _output(event: Event, key: ApiKey) -> Answer:
    from castari.http import output  # noqa: PLC0415 - only those who read output pay for it

    named, wanted = event["pathParameters"], output.wanted_of(event)
    agent = catalogue.agents().get(key.user_id, named["slug"])
    if output.has_had_all(event):
        return output.nothing_more()
    reading = invoking.outputs().read(
        agent, named["invocation_id"], wanted.stream, offset=wanted.offset, wait_seconds=wanted.wait
    )
    return output.part_answer(event, vendor.run(reading))


def _seconds_left(event: Event) -> float:
    """Return what is left of the gateway's patience, counted from its own time stamp."""
    return settings().limits.answer_budget_seconds - seconds_gone(event)
