"""The agent's row during a deploy: numbers, the one switch, and what is said when there is none."""

from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, VendorUnavailable
from castari.models import ActiveVersion, Agent, Version

_ATTEMPTS = 10


@dataclass(frozen=True)
class Switches:
    """Conditional writes on agents; each is tried again on what it finds."""

    agents: AgentsTable
    versions: VersionsTable
    clock: Clock = utc_now

    def next_number(self, agent: Agent) -> int:
        """Count a deploy and mark the agent as deploying; the version that serves goes on serving."""
        for _ in range(_ATTEMPTS):
            number = agent.latest_version_number + 1
            changes = {
                "latest_version_number": number,
                "status": "deploying",
                "status_message": None,
                "updated_at": self.clock(),
            }
            try:
                expected = {"latest_version_number": agent.latest_version_number}
                return self.agents.update(agent, changes, expected=expected).latest_version_number
            except StaleWrite:
                agent = self.agents.get(agent.user_id, agent.slug)
        raise _contended()

    def switch_to(self, version: Version, snapshot_id: str, sandbox_id: str | None) -> Agent | None:
        """Make a version the one that serves, in one write; return the agent as it was before.

        None if a later deploy serves already, or the agent is gone: then the version is superseded.
        """
        active = ActiveVersion(
            version_id=version.version_id,
            number=version.number,
            snapshot_id=snapshot_id,
            build_secrets=tuple(version.manifest.get("build_secrets", ())),
        )
        for _ in range(_ATTEMPTS):
            agent = self._agent_of(version)
            if agent is None or (agent.active_version and agent.active_version.number > version.number):
                break
            changes: dict[str, object] = {
                "active_version": active,
                "source_hash": version.source_hash,
                "bundle_key": version.bundle_key,
                "sandbox_id": sandbox_id,
                "updated_at": self.clock(),
            }
            if agent.latest_version_number == version.number:
                changes |= {"status": "active", "status_message": None}
            if self._written(agent, changes):
                return agent
        else:
            raise _contended()
        with suppress(StaleWrite):
            self.versions.change(version, {"status": "superseded"})
        return None

    def give_up(self, version: Version, message: str) -> None:
        """Say why a deploy failed, unless a later one is on its way."""
        for _ in range(_ATTEMPTS):
            agent = self._agent_of(version)
            if agent is None or agent.latest_version_number != version.number:
                return
            status = "active" if agent.active_version else "error"
            prefix = (
                f"deploy {version.number} failed, version {agent.active_version.number} serves on: "
                if (agent.active_version)
                else ""
            )
            changes = {
                "status": status,
                "status_message": prefix + message,
                "updated_at": self.clock(),
            }
            if self._written(agent, changes):
                return
        raise _contended()

    def serve_on(self, agent: Agent, bundle_key: str) -> None:
        """Say that the version that serves is the one that was asked for."""
        changes = {
            "status": "active",
            "status_message": None,
            "bundle_key": bundle_key,
            "updated_at": self.clock(),
        }
        expected = {
            "latest_version_number": agent.latest_version_number,
            "active_version": agent.active_version,
        }
        with suppress(StaleWrite, NotFound):
            self.agents.update(agent, changes, expected=expected)

    def _written(self, agent: Agent, changes: dict[str, object]) -> bool:
        expected = {
            "latest_version_number": agent.latest_version_number,
            "active_version": agent.active_version,
        }
        try:
            self.agents.update(agent, changes, expected=expected)
        except StaleWrite:
            return False
        except NotFound:
            return False
        return True

    def _agent_of(self, version: Version) -> Agent | None:
        """Return the version's agent as it is now; a namesake made after a delete is another agent."""
        try:
            agent = self.agents.get(version.user_id, version.slug)
        except NotFound:
            return None
        return agent if agent.agent_id == version.agent_id else None


def _contended() -> VendorUnavailable:
    return VendorUnavailable("the agent's row changes too fast: deploy again")
