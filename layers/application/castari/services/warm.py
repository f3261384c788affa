"""Warm sandboxes: made from a version ahead of time, each used once."""

import asyncio
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from castari.adapters.queues import Queue
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.warm import WarmTable
from castari.clock import Clock, utc_now
from castari.errors import (
    CastariError,
    NoCapacity,
    NotFound,
    SandboxLost,
    SandboxMissing,
    VendorUnavailable,
)
from castari.messages import Refill
from castari.models import Agent, SandboxAccess, WarmSandbox
from castari.services.arrivals import Arrivals
from castari.services.environments import STANDBY_COMMAND
from castari.services.line import Line
from castari.services.warm_losses import find_lost, lost_among
from castari.settings import Limits

_GRACE_SECONDS = 30
_RENEWED_AHEAD = timedelta(seconds=90)
"""Longer than from one sweep to the next, so that no agent in use is without because of its clock."""
_REFILL_AGAIN_SECONDS = 10
_STAND_BY_SECONDS = 5.0
_MOST_PER_VERSION = 100


@dataclass(frozen=True)
class WarmPool:
    """Keeps warm sandboxes for each active agent: as many as its `warm` says, else `size`."""

    agents: AgentsTable
    warm: WarmTable
    sandboxes: Sandboxes
    sealer: Sealer
    arrivals: Arrivals
    line: Line
    maintenance: Queue
    limits: Limits
    size: int
    clock: Clock = utc_now

    def keeps_any(self, agent: Agent) -> bool:
        """Tell whether an agent has warm sandboxes at all."""
        return agent.warm != 0 if agent.warm is not None else self.size > 0

    def wanted(self, agent: Agent) -> int:
        """Return how many an agent should have now."""
        if agent.warm != "auto":
            return self.size if agent.warm is None else agent.warm
        return max(1, min(self.arrivals.busiest(agent.agent_id), self.limits.warm_auto_most))

    async def refill(self, user_id: str, slug: str) -> int:
        """Bring an agent's pool to its size; return how many were made. Raises `VendorUnavailable`.

        Those whose sandbox is gone are removed. Where invocations wait for sandboxes, or the plan allows
        none now, it is tried again later.
        """
        agent = self._active(user_id, slug)
        if agent is None or agent.active_version is None:
            return 0
        version, wanted = agent.active_version, self.wanted(agent)
        waiting = self.warm.list(version.version_id, limit=_MOST_PER_VERSION)
        missing = wanted - len(await self._without_lost(waiting))
        try:
            made = await self._add_allowed(agent, version.version_id, version.snapshot_id, missing)
        except SandboxMissing:
            # The snapshot goes with an agent that is deleted, and with a version that is removed.
            if self._serves(agent):
                raise
            made = 0
        if not self._serves(agent):
            # A deploy, a stop or a delete came between: what it drained must not come back.
            await self.drain(version.version_id)
        elif made or missing < 0:
            await self._trim(version.version_id, wanted)
        return made

    async def add(self, agent: Agent, version_id: str, snapshot_id: str) -> WarmSandbox:
        """Make one warm sandbox and offer it. Raises `VendorUnavailable`, leaving none behind."""
        promise = self.line.admit_unused()
        now = self.clock()
        create = partial(
            self.sandboxes.create,
            snapshot_id,
            timeout_seconds=self._lifetime_seconds,
            metadata={
                "kind": "warm",
                "agent_id": agent.agent_id,
                "user_id": agent.user_id,
                "version_id": version_id,
            },
            idempotency_key=uuid.uuid4().hex,
        )
        access = await self.line.capacity.make(promise, create)
        warm = WarmSandbox(
            version_id=version_id,
            sandbox_id=access.sandbox_id,
            agent_id=agent.agent_id,
            sealed_access=self.sealer.seal(access),
            created_at=now,
            expires_at=now + self._idle,
        )
        await self._stand_by(access)
        await self._offer(warm)
        return warm

    async def _stand_by(self, access: SandboxAccess) -> None:
        """Let it boot what its attempt needs; without, that boots when it starts."""
        with suppress(CastariError, TimeoutError):
            async with asyncio.timeout(_STAND_BY_SECONDS):
                await self.sandboxes.begin(access, STANDBY_COMMAND)

    async def drain(self, version_id: str) -> int:
        """Destroy a version's warm sandboxes; return how many."""
        waiting = self.warm.list(version_id, limit=_MOST_PER_VERSION)
        return sum([await self.remove(warm) for warm in waiting])

    async def give_way(self) -> int:
        """End the warm sandbox that would end first, if invocations wait for that; return how many."""
        if self.line.table.is_empty():
            return 0
        for warm in self.warm.all():
            if await self.remove(warm):
                return 1
        return 0

    async def renew(self) -> tuple[int, int]:
        """Keep those of agents in use, before they end; destroy those that nobody needs. Return how many."""
        now, renewed, removed = self.clock(), 0, 0
        for warm in self.warm.expired(now + _RENEWED_AHEAD):
            agent = self._user_of(warm)
            if agent and await self._renew(warm, now):
                renewed += 1
            elif agent or warm.expires_at < now:
                removed += await self.remove(warm)
                if agent:
                    self.maintenance.send(Refill(user_id=agent.user_id, slug=agent.slug))
        return renewed, removed

    def replace_lost(self, listed: Collection[str]) -> int:
        """Remove those that the service does not list, and have them replaced; return how many."""
        lost = [each for each in lost_among(self.warm.all(), listed, self.clock()) if self.warm.take(each)]
        users = {agent.agent_id: agent for agent in map(self._user_of, lost) if agent}
        for agent in users.values():
            self.maintenance.send(Refill(user_id=agent.user_id, slug=agent.slug))
        return len(lost)

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

    @property
    def _idle(self) -> timedelta:
        return timedelta(seconds=self.limits.warm_idle_seconds)

    @property
    def _lifetime_seconds(self) -> int:
        """Whoever takes one at its last moment may run for as long as anybody may."""
        return self.limits.warm_idle_seconds + self.limits.max_timeout_seconds + _GRACE_SECONDS

    async def _without_lost(self, waiting: list[WarmSandbox]) -> list[WarmSandbox]:
        """Remove those whose sandbox is gone and return the others: all, where the service cannot tell."""
        try:
            lost = await find_lost(self.sandboxes, waiting, self.clock())
        except VendorUnavailable:
            return waiting
        for warm in lost:
            # Its end is asked for all the same: what a listing left out by mistake must not live on unseen.
            await self.remove(warm)
        return [warm for warm in waiting if warm not in lost]

    async def _add_allowed(self, agent: Agent, version_id: str, snapshot_id: str, missing: int) -> int:
        """Add as many as the plan allows now, and see to the others later."""
        for made in range(missing):
            try:
                await self.add(agent, version_id, snapshot_id)
            except NoCapacity:
                self._refill_later(agent)
                return made
        return max(0, missing)

    def _refill_later(self, agent: Agent) -> None:
        """Ask for one more refill of this agent, however many were refused meanwhile."""
        now = self.clock()
        if self.line.table.may_remind(agent.agent_id, now, now + timedelta(seconds=_REFILL_AGAIN_SECONDS)):
            message = Refill(user_id=agent.user_id, slug=agent.slug)
            self.maintenance.send(message, delay_seconds=_REFILL_AGAIN_SECONDS)

    async def _renew(self, warm: WarmSandbox, now: datetime) -> bool:
        """Let one live on; False if it cannot. Nobody can take it meanwhile: his limit would be undone."""
        last = warm.created_at + timedelta(
            seconds=self.limits.sandbox_longest_seconds - self.limits.max_timeout_seconds - _GRACE_SECONDS
        )
        expires_at = min(now + self._idle, last)
        if expires_at <= now + _RENEWED_AHEAD or not self.warm.take(warm):
            return False
        left = expires_at - now + timedelta(seconds=self.limits.max_timeout_seconds + _GRACE_SECONDS)
        try:
            await self.sandboxes.set_timeout(warm.sandbox_id, int(left.total_seconds()))
        except (VendorUnavailable, SandboxLost):
            with suppress(VendorUnavailable):
                await self.sandboxes.kill(warm.sandbox_id)
            return False
        await self._offer(warm.model_copy(update={"expires_at": expires_at}))
        return True

    async def _offer(self, warm: WarmSandbox) -> None:
        try:
            self.warm.put(warm)
        except CastariError:
            await self.sandboxes.kill(warm.sandbox_id)
            raise

    def _user_of(self, warm: WarmSandbox) -> Agent | None:
        """Return the agent that still needs it: it runs this version, and was invoked lately."""
        found = self.agents.find(warm.agent_id)
        agent = self._active(found.user_id, found.slug) if found else None
        if agent is None or agent.active_version is None or not self.keeps_any(agent):
            return None
        in_use = agent.active_version.version_id == warm.version_id
        return agent if in_use and self.arrivals.any_within(agent.agent_id, self._idle) else None

    async def _trim(self, version_id: str, wanted: int) -> None:
        """Destroy what several refills at once made too many."""
        waiting = self.warm.list(version_id, limit=_MOST_PER_VERSION)
        for warm in sorted(waiting, key=lambda warm: warm.created_at)[wanted:]:
            await self.remove(warm)

    def _serves(self, agent: Agent) -> bool:
        """Tell whether an agent still runs the version that it ran when it was read."""
        now = self._active(agent.user_id, agent.slug)
        return now is not None and now.active_version == agent.active_version

    def _active(self, user_id: str, slug: str) -> Agent | None:
        try:
            agent = self.agents.get(user_id, slug)
        except NotFound:
            return None
        return None if agent.active_version is None or agent.status == "stopped" else agent
