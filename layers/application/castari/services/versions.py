"""Versions of an agent, read."""

from dataclasses import dataclass

from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.versions import VersionsTable
from castari.models import Agent, Version


@dataclass(frozen=True)
class Versions:
    """What was made runnable, or was tried to."""

    agents: AgentsTable
    table: VersionsTable

    def list(self, user_id: str, slug: str, *, limit: int, offset: int) -> tuple[Agent, list[Version]]:
        """Return an agent and its versions, newest first. Raises `NotFound`."""
        agent = self.agents.get(user_id, slug)
        return agent, self.table.list(agent.agent_id, limit=limit, offset=offset)

    def get(self, user_id: str, slug: str, version_id: str) -> tuple[Agent, Version]:
        """Return an agent and one version of it. Raises `NotFound`."""
        agent = self.agents.get(user_id, slug)
        return agent, self.table.get(agent.agent_id, version_id)
