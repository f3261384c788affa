"""The sandboxes that exist now, and how a list of them is filtered, ordered and cut into pages."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from local.sandboxes.server.errors import ApiError, SandboxMissingError
from local.sandboxes.server.sandbox import Sandbox

MAX_PAGE = 100


class Registry:
    """Sandboxes by id."""

    def __init__(self) -> None:
        self._sandboxes: dict[str, Sandbox] = {}

    def __iter__(self) -> Iterator[Sandbox]:
        return iter(self._sandboxes.values())

    def __len__(self) -> int:
        return len(self._sandboxes)

    def add(self, sandbox: Sandbox) -> None:
        """Make a sandbox known."""
        self._sandboxes[sandbox.sandbox_id] = sandbox

    def remove(self, sandbox: Sandbox) -> bool:
        """Forget a sandbox. Returns whether it was known: one caller alone gets True."""
        return self._sandboxes.pop(sandbox.sandbox_id, None) is not None

    def find(self, sandbox_id: str) -> Sandbox | None:
        """Look a sandbox up."""
        return self._sandboxes.get(sandbox_id)

    def get(self, sandbox_id: str) -> Sandbox:
        """Look a sandbox up. Raises `SandboxMissingError`."""
        if sandbox := self.find(sandbox_id):
            return sandbox
        raise SandboxMissingError(sandbox_id)


@dataclass(frozen=True)
class Listing:
    """What a client wants listed."""

    states: frozenset[str]
    metadata: Mapping[str, str]
    template: str | None
    started_after: datetime | None
    descending: bool
    limit: int
    after: tuple[str, str] | None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "Listing":
        """Read a query. Raises `ApiError`."""
        limit = query.get("limit", str(MAX_PAGE))
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
            raise ApiError(400, f"limit: must be a number from 1 to {MAX_PAGE}")
        if query.get("order", "desc") not in ("asc", "desc"):
            raise ApiError(400, "order: must be asc or desc")
        return cls(
            states=frozenset(filter(None, query.get("state", "running,paused").split(","))),
            metadata=_pairs(query.get("metadata", "")),
            template=query.get("template"),
            started_after=_time(query["startedAfter"]) if "startedAfter" in query else None,
            descending=query.get("order", "desc") == "desc",
            limit=int(limit),
            after=read_cursor(query.get("nextToken", "")),
        )

    def page(self, sandboxes: Registry) -> tuple[list[Sandbox], str | None]:
        """The wanted sandboxes in order of their start, and the token of the next page."""
        wanted = sorted(filter(self._wants, sandboxes), key=_position, reverse=self.descending)
        rest = [each for each in wanted if self._follows(each)]
        page = rest[: self.limit]
        return page, write_cursor(*_position(page[-1])) if len(rest) > self.limit else None

    def _wants(self, sandbox: Sandbox) -> bool:
        return (
            sandbox.state in self.states
            and self.metadata.items() <= sandbox.request.metadata.items()
            and (self.template is None or self.template in sandbox.template.names)
            and (self.started_after is None or sandbox.started_at >= self.started_after)
        )

    def _follows(self, sandbox: Sandbox) -> bool:
        if self.after is None:
            return True
        position = _position(sandbox)
        return position < self.after if self.descending else position > self.after


def write_cursor(*position: str) -> str:
    """A token that names a position in an ordered list."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def read_cursor(token: str) -> tuple[str, str] | None:
    """The position that a token names. Raises `ApiError` for one that is not ours."""
    if not token:
        return None
    try:
        first, second = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, RecursionError):
        raise ApiError(400, "nextToken: not a token of this server") from None
    return str(first), str(second)


def _position(sandbox: Sandbox) -> tuple[str, str]:
    return sandbox.started_at.isoformat(timespec="microseconds"), sandbox.sandbox_id


def _pairs(text: str) -> dict[str, str]:
    # The SDKs quote each name and value before they encode the pairs.
    return {unquote(name): unquote(value) for name, value in parse_qsl(text, keep_blank_values=True)}


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError(400, "startedAfter: must be a time as RFC 3339 has it") from None
    return time.astimezone()
