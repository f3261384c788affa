"""Asks a running sandbox server what its sandboxes use: the rows that `top` shows."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

_PAGE = 100
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_OWNER = ("user_id", "user", "owner")
_AGENT = ("agent_id", "agent", "name")


@dataclass(frozen=True)
class Row:
    """One sandbox now. Memory in bytes; CPU in percent of what it may use; times in seconds.

    `owner` is what its maker noted about whose it is. What is not known is none.
    """

    sandbox_id: str
    state: str
    template: str
    owner: str
    kind: str
    age_seconds: int
    left_seconds: int
    memory_bytes: int | None
    memory_limit_bytes: int
    cpu_percent: float | None

    def to_json(self) -> dict[str, Any]:
        """The row for programs."""
        return asdict(self)


class ServerUnreachable(Exception):
    """The server does not answer, or not to this key; the message says what to do."""


async def read_rows(url: str, api_key: str) -> list[Row]:
    """Ask for all sandboxes, the oldest first. Raises `ServerUnreachable`."""
    try:
        async with aiohttp.ClientSession(url, headers={"X-API-KEY": api_key}, timeout=_TIMEOUT) as client:
            listed = await _list(client)
            samples = await _measure(client, [each["sandboxID"] for each in listed])
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ServerUnreachable(
            f"{url} does not answer ({error}): start the server with `make up`, or name another with --url"
        ) from None
    now = datetime.now(UTC)
    return [_row(each, samples.get(each["sandboxID"]), now) for each in listed]


async def _list(client: aiohttp.ClientSession) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None:
        query = {"limit": str(_PAGE), "order": "asc"} | ({"nextToken": token} if token else {})
        page, token = await _ask(client, "/v2/sandboxes", query)
        found += page
    return found


async def _measure(client: aiohttp.ClientSession, sandbox_ids: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(sandbox_ids), _PAGE):
        query = {"sandbox_ids": ",".join(sandbox_ids[start : start + _PAGE])}
        told, _ = await _ask(client, "/sandboxes/metrics", query)
        found |= told["sandboxes"]
    return found


async def _ask(client: aiohttp.ClientSession, path: str, query: dict[str, str]) -> tuple[Any, str | None]:
    async with client.get(path, params=query) as answer:
        told = await answer.json()
        if not answer.ok:
            raise ServerUnreachable(f"the server refused: {told['message']}")
        return told, answer.headers.get("x-next-token")


def _row(listed: dict[str, Any], sample: dict[str, Any] | None, now: datetime) -> Row:
    metadata = listed.get("metadata", {})
    owner = [_first(metadata, names) for names in (_OWNER, _AGENT)]
    return Row(
        sandbox_id=listed["sandboxID"],
        state=listed["state"],
        template=listed.get("alias") or listed["templateID"],
        owner="/".join(filter(None, owner)),
        kind=metadata.get("kind", ""),
        age_seconds=round((now - datetime.fromisoformat(listed["startedAt"])).total_seconds()),
        left_seconds=max(0, round((datetime.fromisoformat(listed["endAt"]) - now).total_seconds())),
        memory_bytes=sample["memUsed"] if sample else None,
        memory_limit_bytes=listed["memoryMB"] * 1024 * 1024,
        cpu_percent=sample["cpuUsedPct"] if sample else None,
    )


def _first(metadata: dict[str, str], names: tuple[str, ...]) -> str:
    return next((metadata[name] for name in names if name in metadata), "")
