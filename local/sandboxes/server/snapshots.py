"""The catalogue of snapshots: which layers each one stands on. It survives the server."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from local.sandboxes.engine import Limits, Privileges
from local.sandboxes.server.runtime import Runtime
from local.sandboxes.server.stored import write_whole
from local.sandboxes.server.templates import DEFAULT_TAG, Template, without_default_tag


@dataclass(frozen=True)
class Snapshot:
    """A sandbox's filesystem, kept. Its topmost layer has its id."""

    snapshot_id: str
    layers: tuple[str, ...]
    source_sandbox_id: str
    created_at: str
    limits: Limits
    privileges: Privileges
    name: str | None = None
    runtime: Runtime = field(default_factory=Runtime)

    @property
    def names(self) -> list[str]:
        """The full names that clients may use instead of the id."""
        return [f"{self.name}:{DEFAULT_TAG}"] if self.name else []

    def to_json(self) -> dict[str, object]:
        """Its entry in a list."""
        return {"snapshotID": f"{self.snapshot_id}:{DEFAULT_TAG}", "names": self.names}

    def to_template(self) -> Template:
        """What a sandbox made from it starts from."""
        aliases = tuple(without_default_tag(name) for name in self.names)
        return Template(self.snapshot_id, aliases, self.layers, self.limits, self.privileges, self.runtime)


class SnapshotCatalogue:
    """Snapshots by id and by name, written to one file at each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._snapshots = {each.snapshot_id: each for each in _load(path)}

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._snapshots.values())

    def find(self, name: str) -> Snapshot | None:
        """Look one up by its id or name, with or without the default tag."""
        wanted = without_default_tag(name)
        named = next((each for each in self if each.name == wanted), None)
        return self._snapshots.get(wanted) or named

    def add(self, snapshot: Snapshot) -> None:
        """Keep one. A name belongs to the latest snapshot that took it."""
        for other in self:
            if snapshot.name and other.name == snapshot.name:
                self._snapshots[other.snapshot_id] = replace(other, name=None)
        self._snapshots[snapshot.snapshot_id] = snapshot
        self._save()

    def remove(self, snapshot: Snapshot) -> None:
        """Forget one."""
        del self._snapshots[snapshot.snapshot_id]
        self._save()

    def _save(self) -> None:
        write_whole(self._path, json.dumps([asdict(each) for each in self], indent=1).encode())


def now() -> str:
    """The present time as the catalogue keeps it."""
    return datetime.now(UTC).isoformat()


def _load(path: Path) -> Iterator[Snapshot]:
    if path.exists():
        for each in json.loads(path.read_text()):
            parsed = {
                "layers": tuple(each["layers"]),
                "limits": Limits(**each["limits"]),
                "runtime": Runtime(**each.get("runtime", {})),
            }
            yield Snapshot(**each | parsed)
