"""Who calls, and whether they may call now: the key in the header, checked and counted in one write."""

import re
from dataclasses import dataclass, field

from castari.adapters.tables.api_keys import ApiKeysTable, RequestKind
from castari.clock import Clock, utc_now
from castari.errors import RateLimited, Unauthorized
from castari.models import ApiKey
from castari.services.api_keys import hash_secret

WINDOW_SECONDS = 60
_MOST_REMEMBERED = 1_000
_BEARER = re.compile(r"[Bb]earer +(cast_[0-9a-z]{8})_([0-9A-Za-z]{10,128})")


@dataclass(frozen=True)
class Admission:
    """A request that was let in, and what is left of its key's limit in this window."""

    key: ApiKey
    limit: int
    remaining: int
    reset_at: int
    """When the window ends, in seconds since 1970."""


@dataclass(frozen=True)
class Authentication:
    """Admits requests by API key, within the key's limit for their kind."""

    keys: ApiKeysTable
    clock: Clock = utc_now
    users: dict[tuple[str, str], str] = field(default_factory=dict)
    """Whose each key was, by prefix and hash, when this worker let it in; a refused one is forgotten."""

    def expected_user(self, authorization: str | None) -> str | None:
        """Return whose key this was the last time; whether it is let in now, only `admit` says."""
        match = _BEARER.fullmatch((authorization or "").strip())
        return self.users.get((match[1], hash_secret(match[2]))) if match else None

    def admit(self, authorization: str | None, kind: RequestKind) -> Admission:
        """Check an `Authorization` header and count the request. Raises `Unauthorized`, `RateLimited`."""
        if not authorization:
            raise Unauthorized("no API key: send `Authorization: Bearer cast_…`")
        match = _BEARER.fullmatch(authorization.strip())
        if match is None:
            raise Unauthorized("API key not valid: send `Authorization: Bearer cast_…`")
        now = self.clock()
        window = int(now.timestamp()) // WINDOW_SECONDS
        key = match[1], hash_secret(match[2])
        self.users.pop(key, None)
        counted = self.keys.count_request(*key, kind, window, now)
        limit = counted.key.crud_per_minute if kind == "crud" else counted.key.invoke_per_minute
        reset_at = (counted.window + 1) * WINDOW_SECONDS
        if not counted.admitted:
            wait = max(1, reset_at - int(now.timestamp()))
            raise RateLimited(limit=limit, reset_at=reset_at, retry_after_seconds=wait)
        self._remember(key, counted.key.user_id)
        return Admission(counted.key, limit, limit - counted.count, reset_at)

    def _remember(self, key: tuple[str, str], user_id: str) -> None:
        if len(self.users) >= _MOST_REMEMBERED:
            self.users.clear()
        self.users[key] = user_id
