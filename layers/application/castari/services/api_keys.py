"""API keys: made, listed and revoked; the text of a key is seen once, by whoever makes it."""

import hashlib
import secrets
from dataclasses import dataclass

from castari.adapters.tables.api_keys import ApiKeysTable
from castari.clock import Clock, utc_now
from castari.errors import Conflict, NotFound
from castari.models import ApiKey
from castari.settings import Limits

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIX_LENGTH = 8
_SECRET_LENGTH = 40


def hash_secret(secret: str) -> str:
    """Return what is stored of a key. A plain hash suffices for 200 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


@dataclass(frozen=True)
class ApiKeys:
    """The keys of users."""

    table: ApiKeysTable
    limits: Limits
    clock: Clock = utc_now

    def create(
        self,
        user_id: str,
        name: str,
        *,
        crud_per_minute: int | None = None,
        invoke_per_minute: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with its text. Raises `Conflict` when the user has too many.

        Limits count for each key, so without a bound on keys there would be none on requests.
        """
        most = self.limits.api_keys_per_user
        if len(self.table.list(user_id, limit=most, offset=0)) >= most:
            raise Conflict(f"you have {most} API keys, which is the most: revoke one first")
        public, secret = _random(_PREFIX_LENGTH), _random(_SECRET_LENGTH)
        api_key = ApiKey(
            prefix=f"cast_{public}",
            key_id=f"key_{public}",
            user_id=user_id,
            name=name,
            secret_hash=hash_secret(secret),
            crud_per_minute=crud_per_minute or self.limits.crud_per_minute,
            invoke_per_minute=invoke_per_minute or self.limits.invoke_per_minute,
            created_at=self.clock(),
        )
        self.table.create(api_key)
        return api_key, f"{api_key.prefix}_{secret}"

    def list(self, user_id: str, *, limit: int, offset: int) -> list[ApiKey]:
        """Return a user's keys, newest first."""
        return self.table.list(user_id, limit=limit, offset=offset)

    def revoke(self, user_id: str, key_id: str) -> None:
        """Remove a key, which ends its use at once. Raises `NotFound`."""
        kind, _, public = key_id.partition("_")
        if kind != "key":
            raise NotFound("API key not found")
        self.table.delete(user_id, f"cast_{public}")
