"""Errors as answers, and what of a request never reaches a route."""

import base64
import inspect
import io
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import errors
from castari.errors import (
    CastariError,
    Conflict,
    RateLimited,
    Unauthorized,
    Unprocessable,
    VendorUnavailable,
)
from castari.http.answers import error_answer
from castari.http.routing import create_resolver
from castari.http.serving import request_kind, serve_public
from castari.http.validation import parse_json, validation_answer
from castari.observability import logger

_EVENT: dict[str, Any] = {
    "rawPath": "/x",
    "requestContext": {"requestId": "r1", "http": {"method": "GET", "path": "/x"}},
}
CONTRACT = {400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504}


def test_every_error_has_a_status_of_the_contract_and_is_in_the_tree() -> None:
    tree = inspect.getdoc(errors) or ""
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    ours = [each for each in classes if issubclass(each, CastariError) and each is not CastariError]
    assert {each.status for each in ours} <= CONTRACT
    for each in ours:
        line = next((line for line in tree.splitlines() if f" {each.__name__} " in line), "")
        assert str(each.status) in line, f"{each.__name__} is not in the docstring with its status"


def test_an_error_is_a_detail_and_a_remedy_where_the_text_is_fixed() -> None:
    assert json.loads(error_answer(Conflict("Agent not active", remedy="deploy it"))["body"]) == {
        "detail": "Agent not active",
        "remedy": "deploy it",
    }
    assert json.loads(error_answer(Conflict("busy"))["body"]) == {"detail": "busy"}


def test_an_unprocessable_field_is_in_the_shape_of_the_contract() -> None:
    answered = error_answer(Unprocessable("is bad", field=("body", "slug")))
    assert answered["statusCode"] == 422
    assert json.loads(answered["body"]) == {
        "detail": [{"loc": ["body", "slug"], "msg": "is bad", "type": "value_error"}]
    }


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (Unauthorized("no"), "WWW-Authenticate", "Bearer"),
        (VendorUnavailable("busy"), "Retry-After", "2"),
        (RateLimited(limit=3, reset_at=60, retry_after_seconds=7), "Retry-After", "7"),
        (RateLimited(limit=3, reset_at=60, retry_after_seconds=7), "X-RateLimit-Reset", "60"),
    ],
)
def test_an_error_says_in_headers_what_machines_read(error: CastariError, header: str, value: str) -> None:
    assert error_answer(error)["headers"][header] == value


def test_an_unforeseen_error_says_nothing_of_itself_in_answer_or_log() -> None:
    secret = "sword" + "fish"

    def fail() -> dict[str, Any]:
        raise RuntimeError(secret)

    log = io.StringIO()
    usual = logger.registered_handler.setStream(log)  # type: ignore[attr-defined]  # it is a StreamHandler
    answered = serve_public(_EVENT, fail)
    logger.registered_handler.setStream(usual)  # type: ignore[attr-defined]
    assert answered["statusCode"] == 500
    assert answered["headers"]["X-Request-Id"] == "r1"
    assert "swordfish" not in answered["body"] + log.getvalue()
    assert "RuntimeError" in log.getvalue()


@pytest.mark.parametrize("text", ["", "{", "nul", "NaN", "Infinity", "[" * 100_000, '"\\ud800"', "1" * 5000])
def test_what_is_json_only_to_python_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable, match="is not JSON"):
        parse_json(text)


@pytest.mark.parametrize(("text", "value"), [('{"a": [1, null]}', {"a": [1, None]}), ('"\\u00e9"', "é")])
def test_json_is_read(text: str, value: object) -> None:
    assert parse_json(text) == value


def test_a_validation_error_never_repeats_the_value() -> None:
    found = {
        "loc": ("body", "key"),
        "msg": "Value error, is bad",
        "type": "x",
        "input": "swordfish",
        "ctx": {},
    }
    assert json.loads(validation_answer([found])["body"]) == {
        "detail": [{"loc": ["body", "key"], "msg": "is bad", "type": "x"}]
    }


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/v1/agents/x/invoke", "invoke"),
        ("POST", "/api/v1/agents/x/invocations", "invoke"),
        ("GET", "/api/v1/agents/x/invocations", "crud"),
        ("POST", "/api/v1/agents", "crud"),
    ],
)
def test_only_what_starts_an_agent_counts_as_an_invocation(method: str, path: str, kind: str) -> None:
    event = {"rawPath": path, "requestContext": {"http": {"method": method}}}
    assert request_kind(event) == kind


def test_a_route_that_fails_unforeseen_answers_500_in_our_shape() -> None:
    app = create_resolver()

    @app.post("/broken")
    def broken() -> dict[str, str]:
        raise KeyError("swordfish")

    event = {
        **_EVENT,
        "version": "2.0",
        "rawPath": "/broken",
        "headers": {},
        "requestContext": {
            "requestId": "r1",
            "stage": "$default",
            "http": {"method": "POST", "path": "/broken"},
        },
        "body": base64.b64encode(b"").decode(),
        "isBase64Encoded": True,
    }
    answered = app.resolve(event, LambdaContext())
    assert answered["statusCode"] == 500
    assert "swordfish" not in answered["body"]
    assert set(json.loads(answered["body"])) == {"detail"}
