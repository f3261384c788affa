"""Keeps the newest versions of an agent, and removes what only older ones needed."""

from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.build_logs import BuildLogsTable
from castari.adapters.tables.sessions import SessionsTable
from castari.adapters.tables.versions import VersionsTable
from castari.errors import NotFound, StaleWrite
from castari.messages import TidyAgent
from castari.models import Agent, Version
from castari.services.warm import WarmPool


@dataclass(frozen=True)
class Retention:
    """Each round can be done again from any point: a version's row goes last."""

    agents: AgentsTable
    versions: VersionsTable
    logs: BuildLogsTable
    sandboxes: Sandboxes
    bundles: BundleBucket
    pool: WarmPool
    keep: int
    sessions: SessionsTable

    async def tidy(self, message: TidyAgent) -> str:
        """End what waits for former versions, and remove the oldest. Raises `VendorUnavailable`."""
        agent = self._agent(message)
        if agent is None or agent.active_version is None:
            return "nothing to tidy"
        versions = list(self.versions.all(agent.agent_id))
        for version in versions:
            if version.version_id != agent.active_version.version_id and version.status != "building":
                await self.pool.drain(version.version_id)
        await self.pool.refill(agent.user_id, agent.slug)
        pinned = self._pinned(agent)
        unused = [each for each in self._old(agent, versions) if each.version_id not in pinned]
        old = [version for version in unused if self._withdraw(agent, version)]
        for version in old:
            await self._remove(agent, version)
        return f"{len(old)} old versions removed"

    def _old(self, agent: Agent, versions: list[Version]) -> list[Version]:
        """Return the versions beyond the newest that can run, and beyond as many that cannot."""
        active = agent.active_version.version_id if agent.active_version else None
        others = [each for each in versions if each.version_id != active and each.status != "building"]
        runnable = [each for each in others if each.status == "ready"]
        return [each for each in others if each.status == "removed"] + [
            *runnable[self.keep - 1 :],
            *[each for each in others if each.status in {"failed", "superseded"}][self.keep :],
        ]

    def _pinned(self, agent: Agent) -> set[str]:
        """Return the versions whose sandboxes sessions keep: E2B holds on to their snapshots."""
        sessions = self.sessions.all(agent.agent_id)
        return {each.version.version_id for each in sessions if each.status not in {"ended", "deleted"}}

    def _withdraw(self, agent: Agent, version: Version) -> bool:
        """Mark a version so that nobody can roll back to it; tell whether it may go."""
        if version.status != "removed":
            try:
                withdrawn = self.versions.change(version, {"status": "removed"})
            except StaleWrite:
                return False
            now = self._agent_again(agent)
            if now and now.active_version and now.active_version.version_id == version.version_id:
                # Somebody rolled back to it just before.
                with suppress(StaleWrite):
                    self.versions.change(withdrawn, {"status": version.status})
                return False
        return True

    async def _remove(self, agent: Agent, version: Version) -> None:
        """Remove what no other version shares, then the row."""
        others = [each for each in self.versions.all(agent.agent_id) if each.version_id != version.version_id]
        shared = {each.dependencies_snapshot_id for each in others} | {each.snapshot_id for each in others}
        for snapshot_id in {version.snapshot_id, version.dependencies_snapshot_id} - shared - {None}:
            await self.sandboxes.delete_snapshot(str(snapshot_id))
        if version.bundle_key not in {agent.bundle_key, *(each.bundle_key for each in others)}:
            self.bundles.delete([version.bundle_key])
        self.logs.delete(version.version_id)
        self.versions.delete(version)

    def _agent(self, message: TidyAgent) -> Agent | None:
        with suppress(NotFound):
            agent = self.agents.get(message.user_id, message.slug)
            return agent if agent.agent_id == message.agent_id else None
        return None

    def _agent_again(self, agent: Agent) -> Agent | None:
        with suppress(NotFound):
            return self.agents.get(agent.user_id, agent.slug)
        return None
