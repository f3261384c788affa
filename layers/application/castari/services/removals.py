"""Carries out what was asked for on the maintenance queue: destroy, stop, delete, look after a deploy."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.results import ResultBucket
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.secret_store import SecretStore
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.versions import VersionsTable
from castari.errors import NotFound, StaleWrite
from castari.messages import CheckDeploy, DeleteAgent, DestroySandbox, Maintenance, Refill, StopAgent
from castari.services.cancels import Cancels
from castari.services.switches import Switches
from castari.services.warm import WarmPool

_PAGE = 200
_INTERRUPTED = "the deploy was interrupted and did not end in time: deploy again"


@dataclass(frozen=True)
class Removals:
    """Each can be done again from any point: whoever takes the message next goes on."""

    agents: AgentsTable
    versions: VersionsTable
    invocations: InvocationsTable
    sandboxes: Sandboxes
    secrets: SecretStore
    bundles: BundleBucket
    results: ResultBucket
    pool: WarmPool
    cancels: Cancels
    switches: Switches

    async def carry_out(self, message: Maintenance) -> str:
        """Do what a message asks for; tell what was done. Raises `VendorUnavailable`."""
        match message:
            case DestroySandbox():
                killed = await self.sandboxes.kill(message.sandbox_id)
                return "killed" if killed else "gone already"
            case Refill():
                return f"{await self.pool.refill(message.user_id, message.slug)} made"
            case StopAgent():
                return f"{await self._stop(message)} sandboxes ended"
            case DeleteAgent():
                return await self._delete(message)
            case CheckDeploy():
                return self._check_deploy(message)
            case _:
                assert_never(message)

    async def _stop(self, message: StopAgent) -> int:
        """End an agent's sandboxes, unless it was deployed again meanwhile."""
        with suppress(NotFound):
            agent = self.agents.get(message.user_id, message.slug)
            if agent.agent_id == message.agent_id and agent.status != "stopped":
                return 0
        return await self._end_sandboxes(message.agent_id)

    async def _end_sandboxes(self, agent_id: str) -> int:
        for version in self.versions.all(agent_id):
            await self.pool.drain(version.version_id)
        self.cancels.cancel_all(agent_id)
        running = [sandbox_id async for sandbox_id in self._sandboxes_of(agent_id)]
        return sum([await self.sandboxes.kill(sandbox_id) for sandbox_id in running])

    async def _sandboxes_of(self, agent_id: str) -> AsyncIterator[str]:
        async for sandbox in self.sandboxes.list(agent_id=agent_id):
            yield sandbox.sandbox_id

    async def _delete(self, message: DeleteAgent) -> str:
        """Remove all an agent has: first what runs, then what costs, the versions that name the rest last."""
        with suppress(NotFound):
            agent = self.agents.get(message.user_id, message.slug)
            if agent.agent_id == message.agent_id:
                self.agents.delete(agent)
        ended = await self._end_sandboxes(message.agent_id)
        self.secrets.delete(message.agent_id)
        for folder in ("bundles", "staged"):
            prefix = f"{folder}/{message.user_id}/{message.slug}/"
            self.bundles.delete(self.bundles.keys(prefix, stored_before=message.requested_at))
        forgotten = self._delete_invocations(message.agent_id)
        for version in self.versions.all(message.agent_id):
            for snapshot_id in {version.snapshot_id, version.dependencies_snapshot_id} - {None}:
                await self.sandboxes.delete_snapshot(str(snapshot_id))
            self.versions.delete(version)
        return f"{ended} sandboxes and {forgotten} invocations removed"

    def _delete_invocations(self, agent_id: str) -> int:
        forgotten = 0
        while page := self.invocations.list_for_agent(agent_id, limit=_PAGE, offset=0):
            for invocation in page:
                self.results.delete(invocation)
                self.invocations.delete(invocation.invocation_id)
            forgotten += len(page)
        return forgotten

    def _check_deploy(self, message: CheckDeploy) -> str:
        """End a deploy whose worker did not live to end it."""
        try:
            version = self.versions.get(message.agent_id, message.version_id)
        except NotFound:
            return "gone"
        if version.status != "building":
            return f"ended as {version.status}"
        with suppress(StaleWrite):
            changes = {"status": "failed", "message": _INTERRUPTED, "lease_expires_at": None}
            self.versions.change(version, changes)
            self.switches.give_up(version, _INTERRUPTED)
        return "interrupted"
