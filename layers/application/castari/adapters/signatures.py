"""Signatures of callbacks by the Standard Webhooks scheme."""

import base64
import os
from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

_PREFIX = "whsec_"
_KEY_BYTES = 32
"""The scheme wants 24 to 64."""


def new_secret() -> SecretStr:
    """Return a secret of random bytes."""
    return SecretStr(_PREFIX + base64.b64encode(os.urandom(_KEY_BYTES)).decode())


def signature_headers(
    secrets: Sequence[SecretStr], *, message_id: str, at: datetime, body: str
) -> dict[str, str]:
    """Return what tells a message's id, its time and that it was made with each of the secrets."""
    signatures = [Webhook(secret.get_secret_value()).sign(message_id, at, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
