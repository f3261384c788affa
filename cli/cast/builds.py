"""Follows a build by its log, and tells what it does."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cast.api import Api
from cast.errors import ApiError, Json
from cast.text import byte_size

_TAIL_LINES = 3
_NOT_FOUND = 404


@dataclass
class Told:
    """What is made of a log's entries: lines that stay, and what the build is at."""

    line: Callable[[str], None]
    progress: Callable[[str], None]
    _output: list[str] = field(default_factory=list)

    def tell(self, entry: Json) -> None:
        """Tell one entry."""
        text = str(entry.get("text") or "")
        match entry.get("kind"):
            case "note":
                self.line(f"  {text}")
            case "step_started":
                self._output.clear()
                self.progress(str(entry["step"]))
            case "output":
                self._output += [line for line in text.splitlines() if line.strip()]
                self.progress(f"{entry['step']}: {self._output[-1]}" if self._output else str(entry["step"]))
            case "step_done":
                self.line(f"  ✓ {entry['step']}  {entry.get('seconds') or 0.0:.1f} s  {text}")
                for line in self._output[-_TAIL_LINES:]:
                    self.line(f"    | {line}")
            case "failed":
                # Why, and the end of the output, is what the command itself ends with.
                self.line(f"  ✗ {entry['step']}".rstrip())


@dataclass
class Build:
    """The build of one bundle, found once the platform has begun it."""

    api: Api
    path: str
    source_hash: str | None
    """None where the platform itself fetches the source, and only then can tell."""
    newest_before: str | None
    """The id of the newest version before the upload."""
    told: Told
    _agent: Json = field(default_factory=dict)
    _version_id: str | None = None
    _offset: int = 0
    _done: bool = False

    def agent(self) -> Json:
        """Return the agent as it is by now, after telling what was said since; one or two requests."""
        if self._version_id is None or self._done:
            self._agent = self.api.get(self.path)
        if self._agent["status"] == "deploying" and self._version_id is None:
            self._find()
        if self._version_id is not None and not self._done:
            self._read()
            return self._agent | {"status_message": None}
        return self._agent

    def version(self) -> Json | None:
        """Return the version that was made, and tell the rest of its log; None where nothing was built."""
        if self._version_id is None:
            self._find()
        if self._version_id is None:
            return None
        while not self._done:
            self._read()
        return self.api.get(f"{self.path}/versions/{self._version_id}")

    def _find(self) -> None:
        version = newest_version(self.api, self.path)
        if version and version["id"] != self.newest_before and self._is_ours(version):
            self._version_id = str(version["id"])

    def _is_ours(self, version: Json) -> bool:
        return self.source_hash is None or version["source_hash"] in {"", self.source_hash}

    def _read(self) -> None:
        part = self.api.get(f"{self.path}/versions/{self._version_id}/log?offset={self._offset}")
        for entry in part["entries"]:
            self.told.tell(entry)
        self._offset, self._done = part["next_offset"], part["done"]


def newest_version(api: Api, path: str) -> Json | None:
    """Return an agent's newest version; none where there is no agent or no version yet."""
    try:
        return next(iter(api.list(f"{path}/versions", limit=1)), None)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


def summary(version: Json) -> str:
    """Return one line about a version that was built."""
    took = f"built in {(version.get('build_ms') or 0) / 1000:.1f} s"
    cached = "dependencies were cached" if version.get("reused_dependencies") else "nothing was cached"
    return f"version {version['number']}: bundle {byte_size(version['size_bytes'])}, {took}, {cached}"
