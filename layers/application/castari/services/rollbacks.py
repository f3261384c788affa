"""Rollbacks: an earlier version serves again, by one write and without a build."""

from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.versions import VersionsTable
from castari.errors import Conflict, NotFound, StaleWrite
from castari.messages import TidyAgent
from castari.models import Agent, Version
from castari.services.switches import Switches

_TRIES = 5


@dataclass(frozen=True)
class Rollbacks:
    """Chooses among the versions that were built and are kept."""

    agents: AgentsTable
    versions: VersionsTable
    switches: Switches
    maintenance: Queue

    def roll_back(self, user_id: str, slug: str, wanted: int | str) -> Agent:
        """Make a version serve, named by number or id. Raises `NotFound`, `Conflict`."""
        for _ in range(_TRIES):
            agent = self.agents.get(user_id, slug)
            version = self._version(agent, wanted)
            try:
                switched = self.switches.roll_back(agent, version)
            except StaleWrite as error:
                raise _cannot_serve(version, "is being removed") from error
            if switched:
                self.maintenance.send(TidyAgent(user_id=user_id, slug=slug, agent_id=agent.agent_id))
                return switched
        raise Conflict(f"agent `{slug}` changes too fast: try again")

    def _version(self, agent: Agent, wanted: int | str) -> Version:
        if isinstance(wanted, str):
            version = self.versions.get(agent.agent_id, wanted)
        else:
            found = (each for each in self.versions.all(agent.agent_id) if each.number == wanted)
            if (version := next(found, None)) is None:  # type: ignore[assignment]
                raise NotFound("Version not found")
        if version.status != "ready":
            raise _cannot_serve(version, _WHY[version.status])
        return version


_WHY = {
    "building": "is still being built",
    "failed": "was never built",
    "superseded": "never served",
    "removed": "is being removed",
}


def _cannot_serve(version: Version, why: str) -> Conflict:
    return Conflict(f"version {version.number} {why}: choose one that is `ready`")
