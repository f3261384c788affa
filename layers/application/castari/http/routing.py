"""Powertools' resolver as our functions use it: validated, and with our own answers to errors."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Depends, Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from aws_lambda_powertools.event_handler.request import Request
from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.errors import CastariError, InvalidRequest, NotFound, Unprocessable
from castari.http.answers import Answer, Event, error_answer
from castari.http.patience import seconds_gone
from castari.http.serving import unexpected
from castari.http.validation import check_form, parse_json, validation_answer
from castari.models import ApiKey

PREFIX = "/api/v1"
_UNKNOWN_ID_LENGTH = 128


def _calling_key(request: Request) -> ApiKey:
    key: ApiKey = request.context["key"]
    return key


def _seconds_gone(request: Request) -> float:
    return seconds_gone(request.context["event"])


Caller = Annotated[ApiKey, Depends(_calling_key)]
"""The key that a request was admitted with."""
SecondsGone = Annotated[float, Depends(_seconds_gone)]
"""How much of the gateway's patience is over."""
Named = Annotated[str, Path(max_length=_UNKNOWN_ID_LENGTH)]
"""A slug, id or key in the path."""
Limit = Annotated[int, Query(ge=1, le=100)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body lead to the same invocation for 24 hours, another body to a 422.",
    ),
]
Offset = Annotated[int, Query(ge=0, le=100_000)]


def create_router() -> Router:
    """Return what a module of routes hangs them on."""
    return Router()  # type: ignore[no-untyped-call]


def create_resolver() -> APIGatewayHttpResolver:
    """Return a resolver that validates, whose errors are in the shape of the public contract."""
    app = APIGatewayHttpResolver(
        enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=parse_json
    )
    app.exception_handler(CastariError)(lambda error: _response(error_answer(error)))
    app.exception_handler(NotFoundError)(lambda _: _response(error_answer(NotFound("Not found"))))
    app.exception_handler(RequestUnsupportedContentType)(lambda _: _response(error_answer(_NOT_JSON)))
    app.exception_handler(RequestValidationError)(lambda e: _response(validation_answer(e.errors())))
    app.exception_handler(UnicodeDecodeError)(lambda _: _response(error_answer(_NOT_TEXT)))
    app.exception_handler(Exception)(lambda error: _response(unexpected(error)))
    return app


_NOT_TEXT = InvalidRequest("the body is not UTF-8 text")
_NOT_JSON = Unprocessable("send JSON, with `Content-Type: application/json`", kind="unsupported_content_type")


def resolve(app: APIGatewayHttpResolver, event: Event, context: LambdaContext, key: ApiKey) -> Answer:
    """Return the answer of the matching route to a request that `key` was admitted with."""
    check_form(event)
    app.append_context(key=key, event=event)  # type: ignore[no-untyped-call]
    answered = app.resolve(event, context)
    if answered["statusCode"] == HTTPStatus.NO_CONTENT:
        answered["body"] = ""  # a validating resolver renders None as `null`
        answered["headers"].pop("Content-Type", None)
    return answered


def _response(answered: Answer) -> Response[str]:
    headers = answered["headers"]
    content_type = headers.pop("Content-Type")
    return Response(answered["statusCode"], content_type, answered["body"], headers)
