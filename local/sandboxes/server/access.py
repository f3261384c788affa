"""Who may do what: the API key, each sandbox's token, and URLs signed with it."""

import base64
import hashlib
import hmac
import secrets
import string
import time
from collections.abc import Mapping

_ID_CHARACTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 19
_IDS = len(_ID_CHARACTERS) ** _ID_LENGTH


def new_id(prefix: str = "i") -> str:
    """A random id in E2B's form: the prefix and 19 lowercase letters and digits."""
    number, characters = secrets.randbelow(_IDS), []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ID_CHARACTERS))
        characters.append(_ID_CHARACTERS[digit])
    return prefix + "".join(characters)


def new_token() -> str:
    """A random token that opens one sandbox."""
    return "ea_" + secrets.token_hex(24)


def same(given: str | None, expected: str) -> bool:
    """Compare secrets in a time that tells nothing about them."""
    return hmac.compare_digest((given or "").encode(), expected.encode())


def signature_fits(query: Mapping[str, str], method: str, token: str) -> bool:
    """Whether a `/files` URL was signed with `token` for this method and is not over.

    The SDKs sign `path:read|write:username:token[:expiry]` with SHA-256.
    """
    expiry = query.get("signature_expiration", "")
    operation = "read" if method == "GET" else "write"
    parts = [
        query.get("path", ""),
        operation,
        query.get("username", ""),
        token,
        *([expiry] if expiry else []),
    ]
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    expected = "v1_" + base64.b64encode(digest).decode().rstrip("=")
    fits = same(query.get("signature"), expected)
    return fits and (not expiry or (expiry.isdecimal() and int(expiry) >= time.time()))
