"""The agent's row: which version serves, whose deploy came last, and what is said about it."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite, VendorUnavailable
from castari.models import ActiveVersion, Agent, AgentStatus, Version

_ATTEMPTS = 10


@dataclass(frozen=True)
class Numbered:
    """What a deploy gets when it begins; it is late if one that was asked for after it began first."""

    number: int
    late: bool


@dataclass(frozen=True)
class Switches:
    """Conditional writes on agents; each is tried again on what it finds."""

    agents: AgentsTable
    versions: VersionsTable
    clock: Clock = utc_now

    def next_number(self, agent: Agent, requested_at: datetime) -> Numbered:
        """Count a deploy and mark the agent as deploying; the version that serves goes on serving."""
        for _ in range(_ATTEMPTS):
            numbered = Numbered(agent.latest_version_number + 1, _is_late(agent, requested_at))
            changes: dict[str, object] = {"latest_version_number": numbered.number}
            if not numbered.late:
                changes |= {
                    "latest_requested_at": requested_at,
                    "status": "deploying",
                    "status_message": None,
                    "updated_at": self.clock(),
                }
            if self._written(agent, changes):
                return numbered
            agent = self.agents.get(agent.user_id, agent.slug)
        raise _contended()

    def switch_to(self, version: Version, sandbox_id: str | None) -> Agent | None:
        """Make a version the one that serves, in one write; return the agent as it was before.

        None if what serves was chosen after this deploy began, or the agent is gone.
        """
        for _ in range(_ATTEMPTS):
            agent = self._agent_of(version)
            if agent is None or _is_outranked(agent, version):
                return None
            changes = self._serving(active_version(version, outranks=version.number), version)
            changes |= {"sandbox_id": sandbox_id, **_status_after(agent, version)}
            if self._written(agent, changes):
                return agent
        raise _contended()

    def roll_back(self, agent: Agent, version: Version) -> Agent | None:
        """Make an earlier version serve again, in one write that also checks that it still can.

        Deploys that began before end as superseded. None if the agent's row changed meanwhile; raises
        `StaleWrite` if the version is not `ready` any more.
        """
        active = active_version(version, outranks=agent.latest_version_number)
        changes = self._serving(active, version) | {
            "sandbox_id": None,
            "status": "active",
            "status_message": None,
            "latest_requested_at": self.clock(),
        }
        check = self.versions.having(version, "ready")
        return self.agents.update_checked(agent, changes, expected=_as_read(agent), check=check)

    def give_up(self, version: Version, message: str) -> None:
        """Say why a deploy failed, unless a later one is on its way."""
        for _ in range(_ATTEMPTS):
            agent = self._agent_of(version)
            if agent is None or agent.latest_version_number != version.number:
                return
            if self._given_up(agent, f"deploy {version.number} failed", message):
                return
        raise _contended()

    def give_up_request(self, agent: Agent, requested_at: datetime, message: str) -> None:
        """Say why a deploy did not even begin, unless a later one did."""
        if agent.status == "deploying" and not _is_late(agent, requested_at):
            self._given_up(agent, "the deploy failed", message)

    def serve_on(self, agent: Agent, bundle_key: str, requested_at: datetime) -> None:
        """Say that the version that serves is the one that was asked for, last of all."""
        if agent.active_version is None or _is_late(agent, requested_at):
            return
        changes = {
            "active_version": agent.active_version.model_copy(
                update={"outranks": agent.latest_version_number}
            ),
            "latest_requested_at": requested_at,
            "status": "active",
            "status_message": None,
            "bundle_key": bundle_key,
            "updated_at": self.clock(),
        }
        with suppress(StaleWrite, NotFound):
            self.agents.update(agent, changes, expected=_as_read(agent))

    def _given_up(self, agent: Agent, what: str, message: str) -> bool:
        if (active := agent.active_version) is not None:
            message = f"{what}, version {active.number} serves on: {message}"
        status: AgentStatus = "active" if active else "error"
        changes = {
            "status": "stopped" if agent.status == "stopped" else status,
            "status_message": message,
            "updated_at": self.clock(),
        }
        return self._written(agent, changes)

    def _serving(self, active: ActiveVersion, version: Version) -> dict[str, object]:
        return {
            "active_version": active,
            "source_hash": version.source_hash,
            "bundle_key": version.bundle_key,
            "updated_at": self.clock(),
        }

    def _written(self, agent: Agent, changes: dict[str, object]) -> bool:
        try:
            self.agents.update(agent, changes, expected=_as_read(agent))
        except (StaleWrite, NotFound):
            return False
        return True

    def _agent_of(self, version: Version) -> Agent | None:
        """Return the version's agent as it is now; a namesake made after a delete is another agent."""
        try:
            agent = self.agents.get(version.user_id, version.slug)
        except NotFound:
            return None
        return agent if agent.agent_id == version.agent_id else None


def active_version(version: Version, *, outranks: int) -> ActiveVersion:
    """Return what an invocation must know of a version that was built. Raises `ValueError` if it was not."""
    if version.snapshot_id is None:
        raise ValueError(f"version {version.version_id} has no snapshot")
    return ActiveVersion(
        version_id=version.version_id,
        number=version.number,
        snapshot_id=version.snapshot_id,
        build_secrets=tuple(version.manifest.get("build_secrets", ())),
        retries=version.manifest.get("retries", 0),
        outranks=outranks,
    )


def _as_read(agent: Agent) -> dict[str, object]:
    """Return what must still hold for a decision that was made on this row."""
    return {
        "latest_version_number": agent.latest_version_number,
        "active_version": agent.active_version,
        "status": agent.status,
    }


def _is_late(agent: Agent, requested_at: datetime) -> bool:
    return agent.latest_requested_at is not None and requested_at < agent.latest_requested_at


def _is_outranked(agent: Agent, version: Version) -> bool:
    """Tell whether what serves was chosen after this deploy began."""
    active = agent.active_version
    if active is None or active.version_id == version.version_id:
        return False
    return max(active.number, active.outranks) >= version.number


def _status_after(agent: Agent, version: Version) -> dict[str, object]:
    """Return what the switch says: a later deploy may be on its way, and who stopped it meant it."""
    if agent.status == "stopped" or (
        agent.status == "deploying" and agent.latest_version_number != version.number
    ):
        return {}
    return {"status": "active", "status_message": None}


def _contended() -> VendorUnavailable:
    return VendorUnavailable("the agent's row changes too fast: deploy again")
