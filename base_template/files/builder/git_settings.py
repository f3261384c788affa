"""How git may reach a stranger's repository: https only, one host, its checked addresses, no redirects."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from builder.environment import plain
from builder.places import Places

_TOKEN, _USER, _AUTHORITY = "GIT_TOKEN", "GIT_USERNAME", "GIT_CA_CERTIFICATE"
_DEFAULT_USER = "x-access-token"
"""What GitHub asks for beside a token; GitLab and others take any name."""
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_HTTPS_PORT = 443


def environment(places: Places, url: str, addresses: Sequence[str]) -> dict[str, str]:
    """Return the environment of git. Settings travel in it, because others see a command line."""
    settings = [
        ("protocol.allow", "never"),
        ("protocol.https.allow", "always"),
        ("http.followRedirects", "false"),
        # The name was resolved and judged outside; a second answer to the same question could differ.
        ("http.curloptResolve", _pinned(url, addresses)),
        ("core.hooksPath", "/dev/null"),
        ("credential.helper", ""),
        *_authorization(url),
        *_authorities(places),
    ]
    named = {f"GIT_CONFIG_KEY_{place}": name for place, (name, _) in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{place}": value for place, (_, value) in enumerate(settings)}
    return (
        plain(places)
        | named
        | values
        | {
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
        }
    )


def _pinned(url: str, addresses: Sequence[str]) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _HTTPS_PORT}:{','.join(addresses)}"


def _authorization(url: str) -> list[tuple[str, str]]:
    """Return the header with the token, for this repository's server alone."""
    token = os.environ.get(_TOKEN)
    if not token:
        return []
    pair = f"{os.environ.get(_USER, _DEFAULT_USER)}:{token}"
    encoded = base64.b64encode(pair.encode()).decode()
    parts = urlsplit(url)
    return [(f"http.{parts.scheme}://{parts.netloc}/.extraHeader", f"Authorization: Basic {encoded}")]


def _authorities(places: Places) -> list[tuple[str, str]]:
    """Trust a private server's own authority too, for this clone alone."""
    certificate = os.environ.get(_AUTHORITY)
    if not certificate:
        return []
    both = places.work / "authorities.pem"
    both.write_text(f"{_AUTHORITIES.read_text()}\n{certificate}\n")
    return [("http.sslCAInfo", str(both))]
