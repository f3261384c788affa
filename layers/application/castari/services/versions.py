"""Versions of an agent and the logs of their builds, read."""

from dataclasses import dataclass
from typing import NamedTuple

from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.build_logs import BuildLogsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.models import Agent, LogEntry, Version


class BuiltSoFar(NamedTuple):
    """A version, and entries of its log that were there when it was as it is."""

    version: Version
    entries: list[LogEntry]


@dataclass(frozen=True)
class Versions:
    """What was made runnable, or was tried to."""

    agents: AgentsTable
    table: VersionsTable
    logs: BuildLogsTable
    clock: Clock = utc_now

    def list(self, user_id: str, slug: str, *, limit: int, offset: int) -> tuple[Agent, list[Version]]:
        """Return an agent and its versions, newest first. Raises `NotFound`."""
        agent = self.agents.get(user_id, slug)
        versions = self.table.list(agent.agent_id, limit=limit, offset=offset)
        return agent, [self._as_seen(version) for version in versions]

    def get(self, user_id: str, slug: str, version_id: str) -> tuple[Agent, Version]:
        """Return an agent and one version of it. Raises `NotFound`."""
        agent = self.agents.get(user_id, slug)
        return agent, self._as_seen(self.table.get(agent.agent_id, version_id))

    def log(self, user_id: str, slug: str, version_id: str, *, offset: int, limit: int) -> BuiltSoFar:
        """Return a version and a part of its build's log. Raises `NotFound`."""
        # The version first: an entry that comes between is then read by whoever asks again.
        _, version = self.get(user_id, slug, version_id)
        return BuiltSoFar(version, self.logs.read(version_id, offset=offset, limit=limit))

    def _as_seen(self, version: Version) -> Version:
        """Return the version; past its deadline nobody builds it any more, whatever its row says."""
        if version.status != "building" or self.clock() < version.deadline_at:
            return version
        message = "the deploy did not end in time: deploy again"
        return version.model_copy(update={"status": "failed", "message": message})
