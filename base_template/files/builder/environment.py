"""What the commands of a build may see."""

import os
from collections.abc import Iterable

from builder.places import Places

_KEPT = frozenset(
    {"PATH", "LANG", "USER", "LOGNAME", "NODE_OPTIONS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
)


def plain(places: Places, secret_names: Iterable[str] = ()) -> dict[str, str]:
    """Return our own basics, and of the secrets those that are named."""
    kept = _KEPT | set(secret_names)
    return {name: value for name, value in os.environ.items() if name in kept} | {
        "HOME": str(places.home),
        "CI": "1",
    }
