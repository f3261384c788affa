"""What a worker that died has left at the sandbox service: its build sandboxes and unfinished snapshots."""

from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.sandboxes import Sandboxes
from castari.errors import VendorUnavailable
from castari.models import Version


@dataclass(frozen=True)
class Leftovers:
    """Removes them before the next worker begins; what cannot be removed now ends by its own timeout."""

    sandboxes: Sandboxes

    async def remove(self, version: Version) -> int:
        """End the build sandboxes of earlier attempts; return how many."""
        ended = 0
        with suppress(VendorUnavailable):
            found = self.sandboxes.list(kind="build", version_id=version.version_id)
            for sandbox_id in [
                each.sandbox_id async for each in found if _is_earlier(each.metadata, version)
            ]:
                for snapshot_id in await self.sandboxes.snapshots_of(sandbox_id):
                    if snapshot_id not in {version.snapshot_id, version.dependencies_snapshot_id}:
                        await self.forget(snapshot_id)
                ended += await self.sandboxes.kill(sandbox_id)
        return ended

    async def forget(self, snapshot_id: str) -> None:
        """Remove a snapshot that nobody will use."""
        with suppress(VendorUnavailable):
            await self.sandboxes.delete_snapshot(snapshot_id)


def _is_earlier(about: dict[str, str], version: Version) -> bool:
    return about.get("attempt") != str(version.attempt)
