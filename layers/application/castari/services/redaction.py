"""Takes secret values out of text that comes from a sandbox before anybody keeps or shows it."""

import base64
from collections.abc import Iterable
from urllib.parse import quote

from pydantic import SecretStr

_SHORTEST = 4
"""A shorter value is in every text by chance."""


def redact(text: str, secrets: Iterable[SecretStr]) -> str:
    """Return the text with each value, also base64 or URL encoded, replaced by `[secret]`."""
    values = [secret.get_secret_value() for secret in secrets]
    for form in sorted({form for value in values for form in _forms(value)}, key=len, reverse=True):
        text = text.replace(form, "[secret]")
    return text


def _forms(value: str) -> list[str]:
    if len(value) < _SHORTEST:
        return []
    encoded = base64.b64encode(value.encode()).decode()
    return [value, encoded, encoded.rstrip("="), quote(value), quote(value, safe="")]
