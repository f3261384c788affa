"""Versions of an agent's secret values: the store holds them, and the agent's row says which one counts."""

from collections.abc import Mapping
from dataclasses import dataclass

from castari.adapters.secret_store import SecretStore
from castari.adapters.tables.agents import AgentsTable
from castari.errors import NotFound, StaleWrite
from castari.models import Agent


@dataclass(frozen=True)
class SecretVersions:
    """Points rows at versions, each in one conditional write, and releases those that no row points at."""

    table: AgentsTable
    store: SecretStore

    def point(
        self,
        agent: Agent,
        version_id: str,
        changes: Mapping[str, object],
        *,
        expected: Mapping[str, object],
        outdated: str | None,
    ) -> bool:
        """Write what points the row at a version, and release the one that is `outdated` by that.

        Returns whether the row was still as `expected`; if not, the version is released. Raises `NotFound`.
        """
        try:
            self.table.update(agent, changes, expected=expected)
        except StaleWrite:
            self.store.release(agent.agent_id, version_id)
            return False
        except NotFound:
            self.store.delete(agent.agent_id)
            raise
        if outdated:
            self.store.release(agent.agent_id, outdated)
        return True
