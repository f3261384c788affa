"""Serves one HTTP request: admits it, has it answered, turns errors into answers, and logs one line."""

import time
from collections.abc import Callable

from castari.adapters.tables.api_keys import RequestKind
from castari.errors import CastariError
from castari.http.answers import Answer, Event, error_answer, rate_headers
from castari.models import ApiKey
from castari.observability import log_unexpected, logger, metrics
from castari.services.authentication import Authentication

_INVOKING = ("/invoke", "/invocations", "/invocations/batch")


def request_kind(event: Event) -> RequestKind:
    """Tell which of a key's two limits a request counts against."""
    invoking = _method(event) == "POST" and event["rawPath"].endswith(_INVOKING)
    return "invoke" if invoking else "crud"


def serve(event: Event, authentication: Authentication, respond: Callable[[Event, ApiKey], Answer]) -> Answer:
    """Return the answer to a request that needs a key; `respond` gives it for an admitted one."""
    headers: dict[str, str] = {}

    def admitted() -> Answer:
        admission = authentication.admit(event.get("headers", {}).get("authorization"), request_kind(event))
        headers.update(
            rate_headers(limit=admission.limit, remaining=admission.remaining, reset_at=admission.reset_at)
        )
        logger.append_keys(user_id=admission.key.user_id, key_prefix=admission.key.prefix)
        return respond(event, admission.key)

    answered = serve_public(event, admitted)
    answered["headers"] |= headers
    return answered


def serve_public(event: Event, respond: Callable[[], Answer]) -> Answer:
    """Return the answer to a request of anybody."""
    started = time.perf_counter()
    answered = _guarded(respond)
    _record(event, answered["statusCode"], round((time.perf_counter() - started) * 1000))
    answered["headers"] = {**answered.get("headers", {}), "X-Request-Id": _request_id(event)}
    return answered


def unexpected(error: Exception) -> Answer:
    """Log where an unforeseen error came from, and answer."""
    log_unexpected(error)
    return error_answer(CastariError("internal error: try again; if it stays, report the X-Request-Id"))


def _guarded(respond: Callable[[], Answer]) -> Answer:
    try:
        return respond()
    except CastariError as error:
        return error_answer(error)
    except Exception as error:  # noqa: BLE001 - the last resort of a request
        return unexpected(error)


def _record(event: Event, status: int, milliseconds: int) -> None:
    logger.info(
        "request",
        extra={
            "method": _method(event),
            "path": event["rawPath"],
            "request_id": _request_id(event),
            "status": status,
            "milliseconds": milliseconds,
        },
    )
    metrics.add_metric("Requests", "Count", 1)
    metrics.add_metric("Milliseconds", "Milliseconds", milliseconds)
    if status >= 500:  # noqa: PLR2004 - HTTP's own line between the caller's errors and ours
        metrics.add_metric("ServerErrors", "Count", 1)


def _request_id(event: Event) -> str:
    return str(event["requestContext"].get("requestId", ""))


def _method(event: Event) -> str:
    method: str = event["requestContext"]["http"]["method"]
    return method
