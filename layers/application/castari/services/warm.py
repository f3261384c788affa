"""Warm sandboxes: made from a version ahead of time, each used once."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.warm import WarmTable
from castari.clock import Clock, utc_now
from castari.errors import CastariError, NotFound, VendorUnavailable
from castari.models import Agent, WarmSandbox
from castari.settings import Limits

_GRACE_SECONDS = 30
_MOST_PER_VERSION = 100


@dataclass(frozen=True)
class WarmPool:
    """Keeps `size` warm sandboxes for each active agent."""

    agents: AgentsTable
    warm: WarmTable
    sandboxes: Sandboxes
    sealer: Sealer
    limits: Limits
    size: int
    clock: Clock = utc_now

    async def refill(self, user_id: str, slug: str) -> int:
        """Bring an agent's pool up to its size; return how many were made. Raises `VendorUnavailable`."""
        agent = self._active(user_id, slug)
        if agent is None or agent.active_version is None:
            return 0
        version = agent.active_version
        missing = self.size - len(self.warm.list(version.version_id, limit=_MOST_PER_VERSION))
        made = [await self.add(agent, version.version_id, version.snapshot_id) for _ in range(missing)]
        now_active = self._active(user_id, slug)
        if now_active is None or now_active.active_version != version:
            # A deploy or a stop came between: what it drained must not come back.
            await self.drain(version.version_id)
        elif made:
            await self._trim(version.version_id)
        return len(made)

    async def add(self, agent: Agent, version_id: str, snapshot_id: str) -> WarmSandbox:
        """Make one warm sandbox and offer it. Raises `VendorUnavailable`, leaving none behind."""
        now = self.clock()
        access = await self.sandboxes.create(
            snapshot_id,
            # Whoever takes it at its last moment may run for as long as anybody may.
            timeout_seconds=self.limits.warm_idle_seconds + self.limits.max_timeout_seconds + _GRACE_SECONDS,
            metadata={
                "kind": "warm",
                "agent_id": agent.agent_id,
                "user_id": agent.user_id,
                "version_id": version_id,
            },
            idempotency_key=uuid.uuid4().hex,
        )
        warm = WarmSandbox(
            version_id=version_id,
            sandbox_id=access.sandbox_id,
            agent_id=agent.agent_id,
            sealed_access=self.sealer.seal(access),
            created_at=now,
            expires_at=now + timedelta(seconds=self.limits.warm_idle_seconds),
        )
        try:
            self.warm.put(warm)
        except CastariError:
            await self.sandboxes.kill(access.sandbox_id)
            raise
        return warm

    async def drain(self, version_id: str) -> int:
        """Destroy a version's warm sandboxes; return how many."""
        waiting = self.warm.list(version_id, limit=_MOST_PER_VERSION)
        return sum([await self.remove(warm) for warm in waiting])

    async def expire(self) -> int:
        """Destroy the sandboxes that nobody needed; return how many."""
        return sum([await self.remove(warm) for warm in self.warm.expired(self.clock())])

    async def remove(self, warm: WarmSandbox) -> bool:
        """Destroy one warm sandbox, unless somebody took it."""
        if not self.warm.take(warm):
            return False
        try:
            await self.sandboxes.kill(warm.sandbox_id)
        except VendorUnavailable:
            # Nobody can take it any more, and its timeout or sweep ends it.
            return False
        return True

    async def _trim(self, version_id: str) -> None:
        """Destroy what several refills at once made too many."""
        waiting = self.warm.list(version_id, limit=_MOST_PER_VERSION)
        for warm in sorted(waiting, key=lambda warm: warm.created_at)[self.size :]:
            await self.remove(warm)

    def _active(self, user_id: str, slug: str) -> Agent | None:
        try:
            agent = self.agents.get(user_id, slug)
        except NotFound:
            return None
        return None if agent.active_version is None or agent.status == "stopped" else agent
