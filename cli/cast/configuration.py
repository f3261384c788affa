"""Where the platform is and which key opens it: two environment variables over two files in ~/.castari."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cast.errors import CastError

URL_VARIABLE = "CASTARI_API_URL"
KEY_VARIABLE = "CASTARI_API_KEY"
LOGIN_REMEDY = f"run `cast login --api-url URL`, or set {URL_VARIABLE} and {KEY_VARIABLE}"


@dataclass(frozen=True)
class Connection:
    """One platform and one key. The key stays out of the repr, so out of tracebacks."""

    api_url: str
    api_key: str = field(repr=False)


def folder() -> Path:
    """Return the folder of the configuration, which need not exist."""
    return Path.home() / ".castari"


def connection(environment: Mapping[str, str] = os.environ) -> Connection:
    """Return what to talk to. Raises `CastError` when the URL or the key is not known."""
    api_url, api_key = known_url(environment), environment.get(KEY_VARIABLE)
    if not api_url:
        raise CastError("no platform is configured", LOGIN_REMEDY)
    return Connection(api_url, api_key or _stored_key(api_url))


def known_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the configured URL without a trailing slash or `/api/v1`, or None."""
    url = environment.get(URL_VARIABLE) or _read("config.json").get("api_url")
    return normalized(url) if url else None


def normalized(url: str) -> str:
    """Return the URL that paths are appended to. Raises `CastError` when it is no http(s) URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CastError(f"`{url}` is not a URL", "it looks like https://api.example.com")
    return url.rstrip("/").removesuffix("/api/v1")


def store(connection: Connection) -> None:
    """Keep the URL and the key for later commands, readable by this user alone."""
    _write("config.json", {"api_url": connection.api_url})
    _write("credentials.json", {"api_url": connection.api_url, "api_key": connection.api_key})


def forget() -> bool:
    """Remove the stored key; return whether there was one."""
    path = folder() / "credentials.json"
    known = path.exists()
    path.unlink(missing_ok=True)
    return known


def _stored_key(api_url: str) -> str:
    stored = _read("credentials.json")
    if not stored.get("api_key"):
        raise CastError("not logged in", LOGIN_REMEDY)
    # A key never goes to a server that it was not given for.
    if stored.get("api_url") != api_url:
        raise CastError(
            f"the stored key belongs to {stored.get('api_url')}, not to {api_url}",
            f"run `cast login --api-url {api_url}`, or set {KEY_VARIABLE}",
        )
    return str(stored["api_key"])


def _read(name: str) -> dict[str, Any]:
    path = folder() / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CastError(f"{path} cannot be read: {error}", "remove it and run `cast login`") from error
    return content if isinstance(content, dict) else {}


def _write(name: str, content: dict[str, str]) -> None:
    folder().mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, so the key is never readable by others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(dir=folder(), prefix=name)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    Path(temporary).replace(folder() / name)
