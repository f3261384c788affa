"""Bundles on their way in: stored, or given a URL to be stored by; and the wish to deploy one."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import NamedTuple

from castari.adapters.bundle_bucket import CONTENT_TYPES, BundleBucket, BundleFormat, bundle_key
from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.clock import Clock, utc_now
from castari.errors import CastariError, Conflict, TooLarge, Unprocessable
from castari.ids import new_id
from castari.messages import AgentKey, DeployBundle
from castari.models import Agent
from castari.services import archives
from castari.settings import Limits


class UploadUrl(NamedTuple):
    """A URL that takes one PUT, with exactly these headers."""

    url: str
    headers: dict[str, str]
    bundle_key: str
    expires_at: datetime


@dataclass(frozen=True)
class Uploads:
    """Takes bundles of agents; storing one under `bundles/` starts its deploy by S3's own event."""

    table: AgentsTable
    bucket: BundleBucket
    deploys: Queue
    limits: Limits
    clock: Clock = utc_now

    def upload(self, user_id: str, slug: str, content: bytes, *, auto_deploy: bool) -> tuple[Agent, str]:
        """Store a bundle and return the agent with the bundle's SHA-256.

        Raises `NotFound`, `TooLarge`, and `Unprocessable` for what is no archive that we would unpack.
        """
        if len(content) > self.limits.upload_bytes:
            raise TooLarge(
                f"the bundle has {len(content)} bytes, at most {self.limits.upload_bytes} fit here:"
                " store a larger one by POST …/upload-url"
            )
        agent = self.table.get(user_id, slug)
        kind = _checked_format(content)
        source_hash = hashlib.sha256(content).hexdigest()
        key = bundle_key(user_id, slug, source_hash, kind, deploy=auto_deploy)
        if not auto_deploy:
            self.bucket.put(key, content, content_type=CONTENT_TYPES[kind])
            return self.table.update(agent, {"bundle_key": key, "updated_at": self.clock()}), source_hash
        # The status comes first: a fast deploy must not end before it is said to have begun.
        with self._deploying(agent, key) as marked:
            self.bucket.put(key, content, content_type=CONTENT_TYPES[kind])
        return marked, source_hash

    def upload_url(
        self, user_id: str, slug: str, *, size_bytes: int, filename: str, auto_deploy: bool
    ) -> UploadUrl:
        """Return where to store a bundle of exactly `size_bytes`. Raises `NotFound`, `TooLarge`."""
        if size_bytes > self.limits.bundle_bytes:
            raise TooLarge(
                f"a bundle has at most {self.limits.bundle_bytes} bytes: leave out what can be built"
            )
        kind: BundleFormat = "zip" if filename.endswith(".zip") else "tar.gz"
        agent = self.table.get(user_id, slug)
        key = bundle_key(user_id, slug, new_id("bundle"), kind, deploy=auto_deploy)
        if not auto_deploy:
            self.table.update(agent, {"bundle_key": key, "updated_at": self.clock()})
        seconds, content_type = self.limits.upload_url_seconds, CONTENT_TYPES[kind]
        url = self.bucket.upload_url(key, content_type=content_type, size_bytes=size_bytes, seconds=seconds)
        headers = {"Content-Type": content_type, "Content-Length": str(size_bytes)}
        return UploadUrl(url, headers, key, self.clock() + timedelta(seconds=seconds))

    def deploy(self, user_id: str, slug: str) -> Agent:
        """Start a deploy of the latest bundle. Raises `NotFound`, and `Conflict` if there is none."""
        agent = self.table.get(user_id, slug)
        if agent.bundle_key is None:
            raise Conflict(f"agent `{slug}` has no bundle: upload one first")
        message = DeployBundle(agent=AgentKey(user_id=user_id, slug=slug), bundle_key=agent.bundle_key)
        with self._deploying(agent, agent.bundle_key) as marked:
            self.deploys.send(message)
        return marked

    @contextmanager
    def _deploying(self, agent: Agent, key: str) -> Iterator[Agent]:
        """Say that a deploy has begun, and take it back if the block cannot begin it."""
        marked = self.table.update(
            agent,
            {
                "bundle_key": key,
                "status": "deploying",
                "status_message": "waiting for the build to begin",
                "updated_at": self.clock(),
            },
        )
        try:
            yield marked
        except CastariError:
            before = {name: getattr(agent, name) for name in ("bundle_key", "status", "status_message")}
            with suppress(CastariError):
                self.table.update(agent, before, expected={"updated_at": marked.updated_at})
            raise


def _checked_format(content: bytes) -> BundleFormat:
    """Refuse an archive that could not be deployed; what castari.json says is left to the deploy to judge."""
    try:
        archives.check(BytesIO(content))
    except Unprocessable as error:
        if error.field == ("file",):
            raise Unprocessable(str(error), field=("body", "file"), kind=error.kind) from error
    return "zip" if content.startswith(b"PK") else "tar.gz"
