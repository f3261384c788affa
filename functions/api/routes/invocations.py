"""Invocations: queue one, look at one, list them. Those that are waited for are the `invoke` function's."""

from aws_lambda_powertools.event_handler import Response

from castari import bootstrap
from castari.http.idempotency import request_of
from castari.http.routing import PREFIX, Caller, IdempotencyKey, Limit, Named, Offset, create_router
from castari.schemas.invocations import InvocationAccepted, InvocationCreate, InvocationResponse

router = create_router()
_TAGS = ["invocations"]
_INVOCATIONS = "/agents/<slug>/invocations"


@router.post(_INVOCATIONS, summary="Queue an invocation", tags=_TAGS, status_code=202)
def submit_invocation(
    slug: Named, body: InvocationCreate, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response[InvocationAccepted]:
    """Accept a prompt and answer at once; poll the `Location` until its status is final."""
    agent = bootstrap.agents().get(caller.user_id, slug)
    invocation = bootstrap.invocations().submit(
        agent,
        body.prompt,
        timeout_seconds=body.timeout_seconds,
        session_id=body.session_id,
        request=request_of(agent, idempotency_key, body),
    )
    location = f"{PREFIX}/agents/{slug}/invocations/{invocation.invocation_id}"
    return Response(
        202, "application/json", InvocationAccepted.of(invocation), headers={"Location": location}
    )


@router.get(_INVOCATIONS, summary="List invocations", tags=_TAGS)
def list_invocations(
    slug: Named, caller: Caller, limit: Limit = 20, offset: Offset = 0
) -> list[InvocationResponse]:
    """Return an agent's invocations, newest first; answers over 100 KB are in the single one only."""
    agent = bootstrap.agents().get(caller.user_id, slug)
    listed = bootstrap.invocations().list_for_agent(agent, limit=limit, offset=offset)
    return [InvocationResponse.of_invocation(invocation) for invocation in listed]


@router.get(f"{_INVOCATIONS}/<invocation_id>", summary="Get an invocation", tags=_TAGS)
def get_invocation(slug: Named, invocation_id: Named, caller: Caller) -> InvocationResponse:
    """Return one invocation; whatever became of it, this is a 200 and `status` says it."""
    agent = bootstrap.agents().get(caller.user_id, slug)
    return InvocationResponse.of_invocation(bootstrap.invocations().get(agent, invocation_id))
