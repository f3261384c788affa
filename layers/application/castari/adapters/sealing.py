"""Seals access tokens, so that whoever reads the warm table cannot enter a sandbox."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from castari.errors import SealBroken
from castari.models import SandboxAccess

_NONCE_BYTES = 12


class Sealer:
    """AES-GCM with the platform's sealing key; a sealed text opens only for the sandbox it names."""

    def __init__(self, key: SecretStr) -> None:
        self._cipher = AESGCM(base64.b64decode(key.get_secret_value()))

    def seal(self, access: SandboxAccess) -> str:
        """Return all that one needs to enter the sandbox, readable to us alone."""
        nonce = os.urandom(_NONCE_BYTES)
        text = "\0".join((access.access_token.get_secret_value(), access.envd_version, access.domain or ""))
        return base64.b64encode(
            nonce + self._cipher.encrypt(nonce, text.encode(), access.sandbox_id.encode())
        ).decode()

    def open(self, sandbox_id: str, sealed: str) -> SandboxAccess:
        """Return what was sealed for this sandbox. Raises `SealBroken`, for one when the key was changed."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            text = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], sandbox_id.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the sealed access does not open: it was sealed with another key") from error
        token, envd_version, domain = text.decode().split("\0")
        return SandboxAccess(
            sandbox_id=sandbox_id,
            access_token=SecretStr(token),
            envd_version=envd_version,
            domain=domain or None,
        )
