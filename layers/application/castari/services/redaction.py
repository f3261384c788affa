"""Takes secret values out of text that comes from a sandbox before anybody keeps or shows it."""

import base64
from collections.abc import Iterable
from urllib.parse import quote

from pydantic import SecretStr

_SHORTEST = 4
"""A shorter value is in every text by chance."""


def redact(text: str, secrets: Iterable[SecretStr]) -> str:
    """Return the text with each value, also base64 or URL encoded, replaced by `[secret]`."""
    return _replaced(text, _all_forms(secrets))


class Redaction:
    """The same for a text that comes in pieces, between any two of which a value may be cut."""

    def __init__(self, secrets: Iterable[SecretStr] = ()) -> None:
        self._forms = _all_forms(secrets)
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can be shown by now; what may be the beginning of a value is held back."""
        text = _replaced(self._held + text, self._forms)
        cut = len(text) - self._beginning(text)
        self._held = text[cut:]
        return text[:cut]

    def end(self) -> str:
        """Return what was held back, and begin anew."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """Return how many characters at the end begin a value."""
        longest = min(len(text), max(map(len, self._forms), default=1) - 1)
        lengths = range(longest, 0, -1)
        return next((n for n in lengths if any(form.startswith(text[-n:]) for form in self._forms)), 0)


def _replaced(text: str, forms: list[str]) -> str:
    for form in forms:
        text = text.replace(form, "[secret]")
    return text


def _all_forms(secrets: Iterable[SecretStr]) -> list[str]:
    values = [secret.get_secret_value() for secret in secrets]
    return sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)


def _forms(value: str) -> list[str]:
    if len(value) < _SHORTEST:
        return []
    encoded = base64.b64encode(value.encode()).decode()
    return [value, encoded, encoded.rstrip("="), quote(value), quote(value, safe="")]
