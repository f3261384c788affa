"""Which worker carries out a deploy: one at a time, and another one if it dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.queues import Queue
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, VendorUnavailable
from castari.ids import id_of
from castari.messages import CheckDeploy, DeployBundle
from castari.models import Agent, Version
from castari.settings import Limits

MOST_ATTEMPTS = 2
_CHECK_GRACE_SECONDS = 5
_RENEWALS_IN_A_LEASE = 3


@dataclass(frozen=True)
class Claims:
    """Leases on versions that are being built."""

    versions: VersionsTable
    maintenance: Queue
    limits: Limits
    clock: Clock = utc_now

    def find(self, agent_id: str, request: DeployBundle) -> Version | None:
        """Return the version that a request has made, if it has."""
        with suppress(NotFound):
            return self.versions.get(agent_id, version_id_of(request))
        return None

    def watch(self, agent_id: str, request: DeployBundle) -> None:
        """Have somebody look after the deploy once its lease may be over. Raises `VendorUnavailable`."""
        check = CheckDeploy(agent_id=agent_id, request=request)
        delay = self.limits.deploy_lease_seconds + _CHECK_GRACE_SECONDS
        self.maintenance.send(check, delay_seconds=delay)

    def first(self, agent: Agent, request: DeployBundle, number: int) -> Version:
        """Return a new version in the hands of this worker; nothing is written yet."""
        now, limits = self.clock(), self.limits
        longest = MOST_ATTEMPTS * (limits.deploy_timeout_seconds + limits.deploy_lease_seconds)
        return Version(
            agent_id=agent.agent_id,
            version_id=version_id_of(request),
            user_id=agent.user_id,
            slug=agent.slug,
            number=number,
            status="building",
            bundle_key=request.bundle_key,
            source_hash="",
            request_id=request.request_id,
            requested_at=request.requested_at,
            created_by=request.requested_by,
            attempt=request.attempt,
            lease_expires_at=now + self._lease(),
            deadline_at=now + timedelta(seconds=longest),
            created_at=now,
        )

    def is_held(self, version: Version) -> bool:
        """Tell whether a worker that is believed to live carries the deploy out."""
        return version.lease_expires_at is not None and version.lease_expires_at > self.clock()

    def take_over(self, version: Version) -> Version:
        """Take a deploy whose worker died. Raises `StaleWrite` if another worker was faster."""
        changes = {"attempt": version.attempt + 1, "lease_expires_at": self.clock() + self._lease()}
        return self.versions.change(version, changes)

    def release(self, version: Version) -> None:
        """Give a deploy away at once."""
        with suppress(StaleWrite, VendorUnavailable):
            self.versions.change(version, {"lease_expires_at": self.clock()})

    @asynccontextmanager
    async def kept(self, version: Version) -> AsyncIterator[None]:
        """Renew the lease for the length of the block."""
        renewing = asyncio.create_task(self._renew(version))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, version: Version) -> None:
        while True:
            await asyncio.sleep(self.limits.deploy_lease_seconds / _RENEWALS_IN_A_LEASE)
            try:
                self.versions.change(version, {"lease_expires_at": self.clock() + self._lease()})
            except StaleWrite:
                return
            except VendorUnavailable:
                continue

    def _lease(self) -> timedelta:
        return timedelta(seconds=self.limits.deploy_lease_seconds)


def version_id_of(request: DeployBundle) -> str:
    """Return the id of the version that a request makes: the same for each delivery, sorted by its time."""
    return id_of("ver", request.requested_at, request.request_id)
