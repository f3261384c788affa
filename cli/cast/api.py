"""One HTTP client for the platform's API, whose errors say what to do."""

from collections.abc import Mapping
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, urlsplit

import httpx

from cast.configuration import Connection
from cast.errors import CastError, Json, Unreachable
from cast.refusals import explain
from cast.slugs import require_slug

# The gateway answers within 30 s, or not at all.
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_Files = dict[str, tuple[str, BinaryIO, str]]
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def agent_path(slug: str, *rest: str) -> str:
    """Return `/agents/{slug}/…` with every part quoted. Raises `UsageMistake` for what is no slug."""
    return "/".join(["/agents", require_slug(slug), *(quote(part, safe="") for part in rest)])


class Api:
    """Speaks for one key to one platform. Every method raises `ApiError` for an answer of 300 or above."""

    def __init__(self, connection: Connection) -> None:
        self._url = connection.api_url
        self._client = httpx.Client(
            base_url=f"{connection.api_url}/api/v1",
            headers={"Authorization": f"Bearer {connection.api_key}"},
            timeout=_TIMEOUT,
            trust_env=not is_loopback(connection.api_url),
        )

    def __enter__(self) -> Self:
        """Return the client, which closes its connections at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str) -> Json:
        """Return the object of the answer."""
        return _object(self._send("GET", path))

    def list(self, path: str, **params: int | str) -> list[Json]:
        """Return the list of the answer."""
        return _objects(self._send("GET", path, params=params))

    def post(self, path: str, body: Json) -> Json:
        """Return the object of the answer."""
        return _object(self._send("POST", path, body=body))

    def patch(self, path: str, body: Json) -> Json:
        """Return the object of the answer."""
        return _object(self._send("PATCH", path, body=body))

    def delete(self, path: str) -> None:
        """Expect success."""
        self._send("DELETE", path)

    def cancel(self, path: str) -> Json:
        """Cancel what runs there; return the object of the answer."""
        return _object(self._send("DELETE", path))

    def upload(self, path: str, file: BinaryIO, *, name: str, content_type: str) -> Json:
        """Send a file as a form with the one field `file`; return the object of the answer."""
        return _object(self._send("POST", path, files={"file": (name, file, content_type)}))

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        params: Mapping[str, int | str] | None = None,
        files: _Files | None = None,
    ) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=body, params=params, files=files)
        except httpx.TransportError as error:
            raise unreachable(self._url, error) from error
        if not response.is_success:
            raise explain(response)
        return response


def _object(response: httpx.Response) -> Json:
    value = _json(response)
    if not isinstance(value, dict):
        raise _not_ours(response)
    return value


def _objects(response: httpx.Response) -> list[Json]:
    value = _json(response)
    if not isinstance(value, list):
        raise _not_ours(response)
    return value


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError as error:
        raise _not_ours(response) from error


def _not_ours(response: httpx.Response) -> CastError:
    return CastError(
        f"{response.request.url} does not answer like a Castari platform", "is the API URL right?"
    )


def is_loopback(url: str) -> bool:
    """Return whether the URL names this machine; proxies from the environment cannot reach that."""
    host = urlsplit(url).hostname or ""
    return host in _LOOPBACK or host.endswith(".localhost")


def unreachable(url: str, error: httpx.TransportError) -> Unreachable:
    """Return the error for a request that got no answer."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        remedy = "is the local stack up? `make up` starts it" if is_loopback(url) else "is the URL right?"
        return Unreachable(f"cannot reach {url}: {error}", f"{remedy} (`cast whoami` shows who and where)")
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(
            f"{url} did not answer in time", "whether it did the work is not known: look, then try again"
        )
    return Unreachable(f"the connection to {url} broke: {error or type(error).__name__}", "try again")
