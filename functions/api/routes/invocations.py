"""Invocations: queue one, look at one, cancel one, list them. What waits for a sandbox is in `invoke`."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import AwareDatetime

from castari.bootstrap import catalogue, results
from castari.bootstrap.settings import settings
from castari.http.idempotency import batch_requests_of, request_of
from castari.http.routing import (
    PREFIX,
    Caller,
    IdempotencyKey,
    Limit,
    Named,
    Offset,
    SecondsGone,
    create_router,
)
from castari.models import History, InvocationStatus
from castari.observability import logger, metrics
from castari.schemas.invocations import (
    InvocationAccepted,
    InvocationBatchAccepted,
    InvocationBatchCreate,
    InvocationCreate,
    InvocationResponse,
)
from castari.schemas.logs import LogResponse

router = create_router()
_TAGS = ["invocations"]
Wait = Annotated[float, Query(ge=0, le=20, description="seconds to wait for it to be over")]
_INVOCATIONS = "/agents/<slug>/invocations"
_Status = Annotated[InvocationStatus | None, Query(description="only those of this status")]
_Session = Annotated[str | None, Query(max_length=128, description="only those of this session")]
_Since = Annotated[AwareDatetime | None, Query(description="only those made at this time or later")]
_Until = Annotated[AwareDatetime | None, Query(description="only those made before this time")]


@router.post(_INVOCATIONS, summary="Queue an invocation", tags=_TAGS, status_code=202)
def submit_invocation(
    slug: Named, body: InvocationCreate, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response[InvocationAccepted]:
    """Accept a prompt and answer at once; poll the `Location` until its status is final."""
    agent = catalogue.agents().get(caller.user_id, slug)
    invocation = results.invocations().submit(
        agent,
        body.prompt,
        timeout_seconds=body.timeout_seconds,
        session_id=body.session_id,
        new_session=body.session,
        callback_url=body.callback_url,
        request=request_of(agent, idempotency_key, body),
    )
    location = f"{PREFIX}/agents/{slug}/invocations/{invocation.invocation_id}"
    return Response(
        202, "application/json", InvocationAccepted.of(invocation), headers={"Location": location}
    )


@router.post(f"{_INVOCATIONS}/batch", summary="Queue many invocations", tags=_TAGS, status_code=202)
def submit_batch(
    slug: Named, body: InvocationBatchCreate, caller: Caller, idempotency_key: IdempotencyKey = None
) -> InvocationBatchAccepted:
    """Accept up to 1,000 prompts, each as an invocation of its own; their ids come in the same order."""
    agent = catalogue.agents().get(caller.user_id, slug)
    made = results.invocation_batches().submit(
        agent,
        body.prompts,
        timeout_seconds=body.timeout_seconds,
        callback_url=body.callback_url,
        requests=batch_requests_of(agent, idempotency_key, body, items=len(body.prompts)),
    )
    if made.unsent:
        logger.warning("sweep has to set out what got no message", extra={"unsent": made.unsent})
        metrics.add_metric("UnsentMessages", "Count", made.unsent)
    return InvocationBatchAccepted(invocations=[InvocationAccepted.of(each) for each in made.invocations])


@router.get(_INVOCATIONS, summary="List invocations", tags=_TAGS)
def list_invocations(
    slug: Named,
    caller: Caller,
    *,
    status: _Status = None,
    session_id: _Session = None,
    since: _Since = None,
    until: _Until = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> list[InvocationResponse]:
    """Return an agent's invocations, newest first; answers over 100 KB are in the single one only."""
    agent = catalogue.agents().get(caller.user_id, slug)
    history = History(status=status, session_id=session_id, since=since, until=until)
    listed = results.invocations().list_for_agent(agent, limit=limit, offset=offset, history=history)
    return [InvocationResponse.of_invocation(invocation) for invocation in listed]


@router.get(f"{_INVOCATIONS}/<invocation_id>", summary="Get an invocation", tags=_TAGS)
def get_invocation(
    slug: Named, invocation_id: Named, caller: Caller, gone: SecondsGone, wait: Wait = 0
) -> InvocationResponse:
    """Return one invocation, after `wait` seconds or once it is over; what became of it says `status`."""
    agent = catalogue.agents().get(caller.user_id, slug)
    seconds = min(wait, settings().limits.answer_budget_seconds - gone)
    invocation = results.invocations().find(agent, invocation_id)
    invocation = results.long_polls().until_over(invocation, seconds)
    return InvocationResponse.of_invocation(results.invocations().with_answer(invocation))


@router.get(f"{_INVOCATIONS}/<invocation_id>/logs", summary="Read the log of an invocation", tags=_TAGS)
def read_log(slug: Named, invocation_id: Named, caller: Caller) -> LogResponse:
    """Return what happened to an invocation and what its agent printed on stderr, once it is over."""
    agent = catalogue.agents().get(caller.user_id, slug)
    return LogResponse.of(results.logs().read(agent, invocation_id))


@router.delete(f"{_INVOCATIONS}/<invocation_id>", summary="Cancel an invocation", tags=_TAGS)
def cancel_invocation(slug: Named, invocation_id: Named, caller: Caller) -> InvocationResponse:
    """End a queued or running invocation and its sandbox; what is over already stays as it ended."""
    agent = catalogue.agents().get(caller.user_id, slug)
    invocation = results.cancels().cancel(agent, invocation_id)
    return InvocationResponse.of_invocation(results.invocations().with_answer(invocation))
