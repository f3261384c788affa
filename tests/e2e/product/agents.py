"""Deploys agents for tests: from a folder, or from a few files written on the spot."""

import io
import json
import secrets
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.demo.stage import Stage, wait_until

MANIFEST = {"name": "test", "version": "1.0.0", "entrypoint": "index.js", "runtime": "node"}
PACKAGE = {"name": "test", "version": "1.0.0", "type": "commonjs"}
DEPLOY_SECONDS = 120.0


@dataclass
class Agents:
    """The agents that tests made."""

    stage: Stage
    slugs: list[str] = field(default_factory=list)

    def create(self, hint: str, **fields: str) -> str:
        """Create an agent and return its slug."""
        slug = f"{hint}-{secrets.token_hex(4)}"
        self.stage.http.post("/agents", json={"name": hint, "slug": slug, **fields}).raise_for_status()
        self.slugs.append(slug)
        return slug

    def deploy_folder(self, hint: str, folder: Path) -> str:
        """Deploy a folder with `cast`, and return the slug."""
        slug = self.create(hint)
        self.stage.cast_ok("deploy", slug, folder=folder)
        return slug

    def deploy_files(self, hint: str, files: Mapping[str, str]) -> str:
        """Deploy files and return the slug; the deploy has to succeed."""
        slug = self.create(hint)
        agent = self.upload(slug, bundle(files))
        assert agent["status"] == "active", agent["status_message"]
        return slug

    def upload(self, slug: str, content: bytes) -> dict[str, Any]:
        """Upload a bundle, and return the agent when its deploy has ended one way or the other."""
        self.post_bundle(slug, content).raise_for_status()
        return self.settled(slug)

    def post_bundle(self, slug: str, content: bytes) -> httpx.Response:
        """Upload a bundle, and return the answer."""
        return self.stage.http.post(f"/agents/{slug}/upload", files={"file": ("bundle.tar.gz", content)})

    def settled(self, slug: str) -> dict[str, Any]:
        """Return the agent once it is not deploying."""

        def ended() -> dict[str, Any] | None:
            agent: dict[str, Any] = self.stage.get(f"/agents/{slug}")
            return None if agent["status"] in {"deploying", "draft"} else agent

        agent: dict[str, Any] = wait_until(ended, f"{slug}'s deploy to end", DEPLOY_SECONDS)
        return agent

    def delete_all(self) -> None:
        """Delete every agent that was made here."""
        for slug in self.slugs:
            self.stage.http.delete(f"/agents/{slug}")


def bundle(files: Mapping[str, str], level: int = 9) -> bytes:
    """Return a tar.gz of the files, with a manifest and a package.json unless they bring their own."""
    defaults = {"castari.json": json.dumps(MANIFEST), "package.json": json.dumps(PACKAGE)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=level) as archive:
        for name, text in {**defaults, **files}.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
