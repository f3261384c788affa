"""Bundles on their way in: stored, or given a URL to be stored by; and the wish to deploy one."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import NamedTuple

from castari.adapters.bundle_bucket import CONTENT_TYPES, BundleBucket, BundleFormat, bundle_key, checkout_key
from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.clock import Clock, utc_now
from castari.errors import CastariError, Conflict, TooLarge, Unprocessable
from castari.ids import new_id
from castari.messages import AgentKey, DeployBundle
from castari.models import Agent, ApiKey
from castari.services import archives
from castari.settings import Limits


class UploadUrl(NamedTuple):
    """A URL that takes one PUT, with exactly these headers."""

    url: str
    headers: dict[str, str]
    bundle_key: str
    expires_at: datetime


class Uploaded(NamedTuple):
    """A bundle that was stored; `source_hash` is its SHA-256."""

    agent: Agent
    source_hash: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Uploads:
    """Takes bundles of agents; storing one under `bundles/` starts its deploy by S3's own event."""

    table: AgentsTable
    bucket: BundleBucket
    deploys: Queue
    limits: Limits
    clock: Clock = utc_now

    def upload(self, caller: ApiKey, slug: str, content: bytes, *, auto_deploy: bool) -> Uploaded:
        """Store a bundle.

        Raises `NotFound`, `TooLarge`, and `Unprocessable` for what is no archive that we would unpack.
        """
        if len(content) > self.limits.upload_bytes:
            raise TooLarge(
                f"the bundle has {len(content)} bytes, at most {self.limits.upload_bytes} fit here:"
                " store a larger one by POST …/upload-url"
            )
        agent = self.table.get(caller.user_id, slug)
        kind, warnings = _checked(content)
        source_hash = hashlib.sha256(content).hexdigest()
        key = bundle_key(caller.user_id, slug, source_hash, kind, deploy=auto_deploy)
        if not auto_deploy:
            self.bucket.put(key, content, content_type=CONTENT_TYPES[kind], put_by=caller.key_id)
            staged = self.table.update(agent, {"bundle_key": key, "updated_at": self.clock()})
            return Uploaded(staged, source_hash, warnings)
        # The status comes first: a fast deploy must not end before it is said to have begun.
        with self._deploying(agent, key) as marked:
            self.bucket.put(key, content, content_type=CONTENT_TYPES[kind], put_by=caller.key_id)
        return Uploaded(marked, source_hash, warnings)

    def upload_url(
        self, caller: ApiKey, slug: str, *, size_bytes: int, filename: str, auto_deploy: bool
    ) -> UploadUrl:
        """Return where to store a bundle of exactly `size_bytes`. Raises `NotFound`, `TooLarge`."""
        if size_bytes > self.limits.bundle_bytes:
            raise TooLarge(
                f"a bundle has at most {self.limits.bundle_bytes} bytes: leave out what can be built"
            )
        kind: BundleFormat = "zip" if filename.endswith(".zip") else "tar.gz"
        agent = self.table.get(caller.user_id, slug)
        key = bundle_key(caller.user_id, slug, new_id("bundle"), kind, deploy=auto_deploy)
        if not auto_deploy:
            self.table.update(agent, {"bundle_key": key, "updated_at": self.clock()})
        seconds = self.limits.upload_url_seconds
        url, headers = self.bucket.upload_url(
            key,
            content_type=CONTENT_TYPES[kind],
            size_bytes=size_bytes,
            put_by=caller.key_id,
            seconds=seconds,
        )
        return UploadUrl(url, headers, key, self.clock() + timedelta(seconds=seconds))

    def deploy(self, caller: ApiKey, slug: str) -> Agent:
        """Start a deploy of the latest bundle, or of what is in the agent's repository now.

        Raises `NotFound`, and `Conflict` if there is no bundle, or no repository named.
        """
        agent = self.table.get(caller.user_id, slug)
        key = self._key_to_deploy(agent)
        message = DeployBundle(
            agent=AgentKey(user_id=caller.user_id, slug=slug),
            bundle_key=key,
            request_id=new_id("request"),
            requested_at=self.clock(),
            requested_by=caller.key_id,
        )
        with self._deploying(agent, key) as marked:
            self.deploys.send(message)
        return marked

    def _key_to_deploy(self, agent: Agent) -> str:
        if agent.source_type == "git":
            if agent.git_repo_url is None:
                raise Conflict(f"agent `{agent.slug}` has no git_repo_url: set it first")
            return checkout_key(agent.user_id, agent.slug, new_id("checkout"))
        if agent.bundle_key is None:
            raise Conflict(f"agent `{agent.slug}` has no bundle: upload one first")
        return agent.bundle_key

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


def _checked(content: bytes) -> tuple[BundleFormat, tuple[str, ...]]:
    """Refuse an archive that could not be deployed; what castari.json says is left to the deploy to judge."""
    warnings: tuple[str, ...] = ()
    try:
        warnings = archives.check(BytesIO(content)).warnings
    except Unprocessable as error:
        if error.field == ("file",):
            raise Unprocessable(str(error), field=("body", "file"), kind=error.kind) from error
    return "zip" if content.startswith(b"PK") else "tar.gz", warnings
