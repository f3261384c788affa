"""Turns an error answer of the platform into a message with a remedy."""

import httpx

from cast.errors import ApiError, Json

_REMEDIES = {
    401: "check the key: `cast login` stores another, `cast apikey create` makes one",
    403: "this key may not do that",
    413: "send less: the message names the limit",
    502: "try again",
    503: "the platform is busy: try again in a moment",
    504: "try again",
}


def explain(response: httpx.Response) -> ApiError:
    """Return the error for an answer of 300 or above."""
    body = _object(response)
    wait = _seconds(response.headers.get("Retry-After"))
    return ApiError(
        _message(response, body.get("detail")),
        _remedy(response.status_code, body, wait),
        status=response.status_code,
        body=body,
        retry_after_seconds=wait,
    )


def _object(response: httpx.Response) -> Json:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _message(response: httpx.Response, detail: object) -> str:
    if isinstance(detail, list) and detail:
        return "; ".join(_field(entry) for entry in detail)
    if detail:
        return str(detail)
    if response.has_redirect_location:
        return f"{response.request.url} leads on to {response.headers['Location']}: is the API URL right?"
    return (
        f"{response.request.method} {response.request.url} answered {response.status_code} without a reason"
    )


def _field(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    place = ".".join(str(part) for part in entry.get("loc", [])[1:])
    return f"{place}: {entry.get('msg')}" if place else str(entry.get("msg"))


def _remedy(status: int, body: Json, wait: float | None) -> str:
    if body.get("remedy"):
        return str(body["remedy"])
    if wait is not None:
        return f"try again in {wait:.0f} s"
    if body.get("detail") == "Agent not found":
        return "`cast agents list` shows yours; `cast deploy` makes one from a folder"
    if body.get("detail") == "Agent not active":
        return "`cast agents get SLUG` says why; `cast deploy` makes it active"
    return _REMEDIES.get(status, "")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None
