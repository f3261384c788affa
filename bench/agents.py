"""Agents that the benches deploy to the running stack, and delete again."""

import io
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.stack import Stack, until

HELLO = Path(__file__).parent.parent / "examples" / "hello"
SLEEPER = Path(__file__).parent / "sleeper"
DEPLOY_SECONDS = 180.0
_LEFT_OUT = {"node_modules", "dist", ".git"}


@dataclass
class BenchAgent:
    """One agent on the stack, made from a folder; `slug` is of this run alone."""

    stack: Stack
    folder: Path
    slug: str = field(default_factory=lambda: f"bench-{secrets.token_hex(4)}")

    def row(self) -> dict[str, Any]:
        """Return the agent as the API shows it."""
        shown: dict[str, Any] = self.stack.call("GET", f"/agents/{self.slug}").json()
        return shown

    def deploy(self, bundle: bytes) -> None:
        """Upload a bundle and wait until it is active. Raises `RuntimeError` with the stack's own words."""
        upload = {"file": ("bundle.tar.gz", bundle, "application/gzip")}
        answer = self.stack.call("POST", f"/agents/{self.slug}/upload", files=upload).json()
        until(f"the deploy of {self.slug}", DEPLOY_SECONDS, lambda: self._deployed(answer["source_hash"]))

    def roll_back(self, version: int) -> None:
        """Let an earlier version serve again. Raises `RuntimeError` if it does not."""
        path = f"/agents/{self.slug}/rollback"
        serving = self.stack.call("POST", path, json={"version": version}).json()["active_version"]
        if serving != version:
            raise RuntimeError(f"version {serving} serves after a rollback to {version}")

    def _deployed(self, source_hash: str) -> bool:
        row = self.row()
        if row["status"] == "error":
            raise RuntimeError(f"the deploy of {self.slug} failed: {row['status_message']}")
        return bool(row["status"] == "active" and row["source_hash"] == source_hash)

    def private_row(self) -> dict[str, Any]:
        """Return the agent as its table keeps it."""
        found = self.stack.table("AGENTS").query(
            IndexName="by_agent_id",
            KeyConditionExpression="agent_id = :id",
            ExpressionAttributeValues={":id": self.row()["id"]},
        )
        return found["Items"][0]

    def warm_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the active version's warm sandboxes."""
        version = self.private_row()["active_version"]["version_id"]
        found = self.stack.table("WARM").query(
            KeyConditionExpression="version_id = :id", ExpressionAttributeValues={":id": version}
        )
        return found["Items"]

    def invoke(self, prompt: str) -> str:
        """Invoke and return the answer."""
        answer = self.stack.call("POST", f"/agents/{self.slug}/invoke", json={"prompt": prompt})
        return str(answer.json()["response_content"])


@contextmanager
def bench_agent(stack: Stack, folder: Path) -> Iterator[BenchAgent]:
    """Create an agent without a bundle and delete it at the end."""
    agent = BenchAgent(stack, folder)
    stack.call("POST", "/agents", json={"name": agent.slug, "slug": agent.slug})
    try:
        yield agent
    finally:
        stack.call("DELETE", f"/agents/{agent.slug}")


def pack(folder: Path, change: str = "") -> bytes:
    """Return the folder as a tar.gz. `change` makes its source another one, the lockfile stays the same."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not _LEFT_OUT & set(path.relative_to(folder).parts):
                archive.add(path, str(path.relative_to(folder)))
        note = tarfile.TarInfo("CHANGE.md")
        note.size = len(change.encode())
        archive.addfile(note, io.BytesIO(change.encode()))
    return packed.getvalue()
