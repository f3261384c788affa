"""Users, their keys and usage, and the operator's secrets."""

import datetime as dt
from datetime import datetime

from pydantic import SecretStr

from castari.models.records import Model


class User(Model):
    """Somebody with agents."""

    user_id: str
    email: str
    created_at: datetime


class ApiKey(Model):
    """A key of a user: its prefix and a hash, never the key. Limits are requests a minute."""

    prefix: str
    key_id: str
    user_id: str
    name: str
    secret_hash: str
    crud_per_minute: int
    invoke_per_minute: int
    created_at: datetime
    last_used_at: datetime | None = None


class DailyUsage(Model):
    """What a user's invocations of one day (UTC) came to."""

    date: dt.date
    invocation_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_dollars: int = 0


class PlatformSecrets(Model):
    """What the operator gives the platform once, read from its own secret."""

    e2b_api_key: SecretStr
    sealing_key: SecretStr
    """32 random bytes in base64: seals access tokens in warm rows."""
    anthropic_api_key: SecretStr | None = None
