"""Hands a bundle to the platform and follows the deploy that it starts."""

from collections.abc import Callable

import httpx

from cast import waiting
from cast.api import Api, is_loopback, unreachable
from cast.builds import Build
from cast.bundle import Bundle
from cast.errors import CastError, Json

# A function gets at most 6 MB of JSON, in which the gateway puts the upload as base64: 4.5 MB at most.
DIRECT_LIMIT_BYTES = 4 * 1024 * 1024
_PUT_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
_CONTENT_TYPE = "application/gzip"
# What a deploy ends in; before the platform takes it up, the agent stays as it was.
_SETTLED = frozenset({"active", "error"})


def upload(api: Api, path: str, bundle: Bundle) -> str:
    """Upload a bundle, which starts its deploy; return the source hash that the agent will show."""
    if bundle.size_bytes > DIRECT_LIMIT_BYTES:
        return _put(api, path, bundle)
    with bundle.path.open("rb") as file:
        answer = api.upload(
            f"{path}/upload?auto_deploy=true", file, name=bundle.path.name, content_type=_CONTENT_TYPE
        )
    return str(answer["source_hash"])


def _put(api: Api, path: str, bundle: Bundle) -> str:
    """Store the bundle by a presigned URL, which carries its own permission: no key goes along."""
    ticket = api.post(f"{path}/upload-url", {"size_bytes": bundle.size_bytes, "filename": bundle.path.name})
    url = ticket["upload_url"]
    headers = {"Content-Length": str(bundle.size_bytes), **ticket.get("headers", {})}
    try:
        with (
            bundle.path.open("rb") as file,
            httpx.Client(trust_env=not is_loopback(url), timeout=_PUT_TIMEOUT) as client,
        ):
            answer = client.put(url, content=file, headers=headers)
    except httpx.TransportError as error:
        raise unreachable(url.partition("?")[0], error) from error
    if not answer.is_success:
        raise CastError(
            f"storing the bundle failed: S3 answered {answer.status_code}",
            "try again: the URL may have expired",
        )
    return bundle.source_hash


def active_agent(
    build: Build, before: Json, *, patience_seconds: float, progress: Callable[[str], None]
) -> Json:
    """Return the agent once it is active with the bundle. Raises `CastError` with the platform's reason."""
    seen = False
    for agent in waiting.answers(build.agent, patience_seconds=patience_seconds):
        if agent["status"] == "deploying":
            seen = True
            if agent.get("status_message"):
                progress(agent["status_message"])
        elif agent["status"] == "active" and _is_deployed(agent, build, before):
            return agent
        elif seen or (agent["status"] in _SETTLED and agent["updated_at"] != before["updated_at"]):
            raise _failure(agent)
    raise CastError(
        f"not active after {patience_seconds:.0f} s",
        f"it may still come: `cast agents get {before['slug']}` shows it",
    )


def _is_deployed(agent: Json, build: Build, before: Json) -> bool:
    """Tell whether an active agent runs what was to be deployed, and not what it ran before."""
    if build.source_hash is not None:
        return bool(agent["source_hash"] == build.source_hash)
    return bool(agent["active_version"] != before["active_version"])


def _failure(agent: Json) -> CastError:
    reason = (
        agent.get("status_message")
        or f"the agent is {agent['status']} with another bundle: a later deploy won"
    )
    return CastError(f"the deploy failed: {reason}")
