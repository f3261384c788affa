"""Function URL: invoke for clients that know only one long POST; waits until the invocation is over."""

import re
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.bootstrap import catalogue, invoking, results, vendor
from castari.errors import NotFound
from castari.http.answers import Answer, Event
from castari.http.invoking import draft_of, log_keys, outcome_answer, prompt_of, wait_of
from castari.http.serving import serve
from castari.models import Agent, ApiKey, Invocation
from castari.observability import logger, metrics, tracer

_PATH = re.compile(r"/api/v1/agents/([^/]+)/invoke")
_ANSWER_SECONDS = 15.0
"""What is left of the function's time for the answer itself."""
_START_SECONDS = 45.0
_ELSEWHERE = NotFound(
    "Not found",
    remedy="here is POST /api/v1/agents/{slug}/invoke alone: all else is at the API's own address",
)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of a function URL, payload format 2.0."""

    def respond(event: Event, key: ApiKey) -> Answer:
        return _invoke(event, key, context)

    return serve(event, catalogue.authentication(), respond)


def _invoke(event: Event, key: ApiKey, context: LambdaContext) -> Answer:
    found = _PATH.fullmatch(event["rawPath"])
    if found is None or event["requestContext"]["http"]["method"] != "POST":
        raise _ELSEWHERE
    wait, prompt = wait_of(event), prompt_of(event)
    agent = catalogue.agents().get(key.user_id, found[1])
    invocations = results.invocations()
    draft = draft_of(invocations, agent, event, prompt)
    made = invocations.enqueue(draft) if wait == 0 else _attend(agent, draft, wait, context)
    logger.append_keys(**log_keys(made))
    return outcome_answer(invocations.with_answer(made))


def _attend(agent: Agent, draft: Invocation, wait: float | None, context: LambdaContext) -> Invocation:
    """Return the invocation once it is over, also where it had to go by the queue."""
    longest = context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS
    ends_at = time.monotonic() + (longest if wait is None else min(wait, longest))
    called = invoking.calls().call(agent, draft, ends_at - time.monotonic(), start_seconds=_START_SECONDS)
    made = vendor.run(called)
    return results.long_polls().until_over(made, ends_at - time.monotonic())
