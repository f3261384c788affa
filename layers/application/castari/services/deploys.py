"""Deploys: from an uploaded bundle to the version that serves, without a moment in which none does."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, Unprocessable, VendorUnavailable
from castari.ids import new_id
from castari.messages import CheckDeploy
from castari.models import Agent, Version
from castari.services import archives
from castari.services.archives import Bundle
from castari.services.builds import BuildFailed, Builds, Built, dependencies_key
from castari.services.switches import Switches
from castari.services.warm import WarmPool
from castari.settings import Limits

_LEASE_GRACE_SECONDS = 60
_LOOK_BACK = 10
"""So many earlier versions may lend their dependencies."""
_MESSAGE_CHARACTERS = 3_500


@dataclass(frozen=True)
class Deploys:
    """Makes a bundle runnable and switches its agent to it."""

    agents: AgentsTable
    versions: VersionsTable
    bundles: BundleBucket
    builds: Builds
    switches: Switches
    pool: WarmPool
    maintenance: Queue
    limits: Limits
    base_template: str
    clock: Clock = utc_now

    async def deploy(self, user_id: str, slug: str, bundle_key: str) -> str:
        """Deploy a bundle; tell what became of it. A second delivery of the same event builds nothing."""
        try:
            agent = self.agents.get(user_id, slug)
        except NotFound:
            return "no such agent"
        try:
            bundle = self._check(bundle_key)
        except NotFound:
            # S3 events come late; the bundle may be replaced or deleted by now.
            return self._fail(self._begin(agent, bundle_key, None), "the bundle is gone: upload it again")
        except Unprocessable as error:
            return self._fail(self._begin(agent, bundle_key, None), str(error))
        if (known := self._known(agent, bundle, bundle_key)) is not None:
            with suppress(VendorUnavailable):
                # It may have been stopped: then what waited for invocations is gone.
                await self.pool.refill(user_id, slug)
            return known
        return await self._deploy(agent, self._begin(agent, bundle_key, bundle), bundle)

    async def _deploy(self, agent: Agent, version: Version, bundle: Bundle) -> str:
        began = time.monotonic()
        try:
            built = await self.builds.build(agent, version, bundle, self._reusable(version))
        except BuildFailed as error:
            tail = f"\n\n{error.tail}" if error.tail else ""
            return self._fail(version, f"{error}{tail}")
        except VendorUnavailable as error:
            return self._fail(version, f"{error} (nothing is wrong with the bundle)")
        except Exception:
            self._fail(version, "the deploy failed for a reason inside the platform: deploy again")
            raise
        ready = self._ready(version, built, began)
        warm = await self._first_warm(agent, ready, built.snapshot_id)
        before = self.switches.switch_to(ready, built.snapshot_id, warm)
        if before is None:
            await self.pool.drain(ready.version_id)
            return "superseded"
        if before.active_version and before.active_version.version_id != ready.version_id:
            await self.pool.drain(before.active_version.version_id)
        return f"active as version {ready.number}"

    async def _first_warm(self, agent: Agent, version: Version, snapshot_id: str) -> str | None:
        """Make a sandbox before the switch, so that the first invocation after it finds one."""
        if self.pool.size:
            with suppress(VendorUnavailable):
                return (await self.pool.add(agent, version.version_id, snapshot_id)).sandbox_id
        return None

    def _check(self, bundle_key: str) -> Bundle:
        if self.bundles.size_bytes(bundle_key) > self.limits.bundle_bytes:
            raise Unprocessable(
                f"the bundle is larger than {self.limits.bundle_bytes} bytes: make it smaller"
            )
        with self.bundles.open(bundle_key) as stream:
            return archives.check(stream)

    def _known(self, agent: Agent, bundle: Bundle, bundle_key: str) -> str | None:
        """Tell if there is nothing to build: the bundle serves already, or is being built right now."""
        newest = self.versions.list(agent.agent_id, limit=1)
        if newest and newest[0].source_hash == bundle.sha256 and newest[0].bundle_key == bundle_key:
            lease = newest[0].lease_expires_at
            if newest[0].status == "building" and lease and lease > self.clock():
                return "being built already"
        active = agent.active_version
        if active and self._hash_of(agent, active.version_id) == bundle.sha256:
            self.switches.serve_on(agent, bundle_key)
            return "nothing changed"
        return None

    def _hash_of(self, agent: Agent, version_id: str) -> str | None:
        with suppress(NotFound):
            return self.versions.get(agent.agent_id, version_id).source_hash
        return None

    def _begin(self, agent: Agent, bundle_key: str, bundle: Bundle | None) -> Version:
        """Give the deploy its number and its row, and see to it that somebody looks after it."""
        now = self.clock()
        seconds = self.limits.deploy_timeout_seconds + _LEASE_GRACE_SECONDS
        version = Version(
            agent_id=agent.agent_id,
            version_id=new_id("ver"),
            user_id=agent.user_id,
            slug=agent.slug,
            number=self.switches.next_number(agent),
            status="building",
            bundle_key=bundle_key,
            source_hash=bundle.sha256 if bundle else "",
            lockfile_hash=dependencies_key(bundle, self.base_template) if bundle else None,
            manifest=bundle.manifest.model_dump(exclude_defaults=True) if bundle else {},
            size_bytes=bundle.size_bytes if bundle else 0,
            lease_expires_at=now + timedelta(seconds=seconds),
            created_at=now,
        )
        self.versions.create(version)
        check = CheckDeploy(
            user_id=agent.user_id,
            slug=agent.slug,
            agent_id=agent.agent_id,
            version_id=version.version_id,
        )
        self.maintenance.send(check, delay_seconds=seconds + _LEASE_GRACE_SECONDS)
        return version

    def _reusable(self, version: Version) -> str | None:
        """Return a snapshot in which the same dependencies are installed."""
        if version.lockfile_hash is None:
            return None
        for earlier in self.versions.list(version.agent_id, limit=_LOOK_BACK):
            if earlier.lockfile_hash == version.lockfile_hash and earlier.dependencies_snapshot_id:
                return earlier.dependencies_snapshot_id
        return None

    def _ready(self, version: Version, built: Built, began: float) -> Version:
        return self.versions.change(
            version,
            {
                "status": "ready",
                "snapshot_id": built.snapshot_id,
                "dependencies_snapshot_id": built.dependencies_snapshot_id,
                "build_milliseconds": round((time.monotonic() - began) * 1000),
                "message": "; ".join(f"{step['step']}: {step['note']}" for step in built.steps),
                "lease_expires_at": None,
            },
        )

    def _fail(self, version: Version, message: str) -> str:
        """Record a failure; the version that serves goes on serving."""
        with suppress(StaleWrite):
            short = message[:_MESSAGE_CHARACTERS]
            self.versions.change(version, {"status": "failed", "message": short, "lease_expires_at": None})
            self.switches.give_up(version, short)
        return f"failed: {message.splitlines()[0]}"
