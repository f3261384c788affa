"""Warm sandboxes that are gone before their time: they vanished, were killed, or their host started anew."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from castari.adapters.sandboxes import Sandboxes
from castari.models import WarmSandbox

_LAG = timedelta(seconds=30)
"""So long a new sandbox may be missing from a listing, or its offer may take to be written."""
_MOST_LISTED = 500
"""A listing has used ones too, for their metadata stays. What so many do not tell is left to sweep."""


def lost_among(offers: Iterable[WarmSandbox], listed: Collection[str], now: datetime) -> list[WarmSandbox]:
    """Return the offers that a listing, made after they were read, would show if their sandboxes lived."""
    return [warm for warm in offers if warm.sandbox_id not in listed and _is_listed_by(warm, now)]


async def find_lost(
    sandboxes: Sandboxes, offers: Collection[WarmSandbox], now: datetime
) -> list[WarmSandbox]:
    """Return those offers of one version whose sandbox is gone: one call for each hundred of its sandboxes.

    No call where nothing can be told. Raises `VendorUnavailable`: then nobody knows.
    """
    unseen = {warm.sandbox_id: warm for warm in offers if _is_listed_by(warm, now)}
    if not unseen:
        return []
    seen = 0
    version_id = next(iter(unseen.values())).version_id
    async for sandbox in sandboxes.list(kind="warm", version_id=version_id):
        unseen.pop(sandbox.sandbox_id, None)
        seen += 1
        if not unseen or seen >= _MOST_LISTED:
            return []
    return list(unseen.values())


def _is_listed_by(warm: WarmSandbox, now: datetime) -> bool:
    return now - warm.created_at > _LAG
