"""Answers for API Gateway, payload format 2.0, and the one place where errors become such."""

import json
from typing import Any

from castari.errors import CastariError, RateLimited, Unauthorized, Unprocessable, VendorUnavailable

Event = dict[str, Any]
Answer = dict[str, Any]
_RETRY_SECONDS = 2


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> Answer:
    """Return a JSON answer."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def error_body(error: CastariError) -> dict[str, Any]:
    """Return `{"detail": …}`, with a `remedy` where the detail is a text that clients match on."""
    detail = error.detail if isinstance(error, Unprocessable) else str(error)
    return {"detail": detail} | ({"remedy": error.remedy} if error.remedy else {})


def error_answer(error: CastariError) -> Answer:
    """Return the answer that an error becomes."""
    return answer(error.status, error_body(error), _error_headers(error))


def rate_headers(*, limit: int, remaining: int, reset_at: int) -> dict[str, str]:
    """Return what every response says of its key's limit; `reset_at` in seconds since 1970."""
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset_at),
    }


def _error_headers(error: CastariError) -> dict[str, str]:
    match error:
        case RateLimited():
            rate = rate_headers(limit=error.limit, remaining=0, reset_at=error.reset_at)
            return rate | {"Retry-After": str(error.retry_after_seconds)}
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case VendorUnavailable():
            return {"Retry-After": str(_RETRY_SECONDS)}
        case _:
            return {}
