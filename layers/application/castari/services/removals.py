"""Carries out what was asked for on the maintenance queue."""

from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.agents import AgentsTable
from castari.errors import NotFound
from castari.messages import (
    CheckDeploy,
    DeleteAgent,
    DestroySandbox,
    EndSession,
    GiveWay,
    Maintenance,
    PauseSession,
    Refill,
    StopAgent,
    TidyAgent,
)
from castari.services.deletions import Deletions
from castari.services.deploy_checks import DeployChecks
from castari.services.retention import Retention
from castari.services.session_ends import SessionEnds
from castari.services.session_pauses import SessionPauses
from castari.services.warm import WarmPool


@dataclass(frozen=True)
class Removals:
    """Each can be done again from any point: whoever takes the message next goes on."""

    agents: AgentsTable
    sandboxes: Sandboxes
    pool: WarmPool
    deletions: Deletions
    deploy_checks: DeployChecks
    retention: Retention
    session_pauses: SessionPauses
    session_ends: SessionEnds

    async def carry_out(self, message: Maintenance) -> str:
        """Do what a message asks for; tell what was done. Raises `VendorUnavailable`."""
        match message:
            case DestroySandbox():
                killed = await self.sandboxes.kill(message.sandbox_id)
                return "killed" if killed else "gone already"
            case Refill() | GiveWay():
                return await self._change_pool(message)
            case PauseSession() | EndSession():
                return await self._see_to_session(message)
            case StopAgent():
                return f"{await self._stop(message)} sandboxes ended"
            case DeleteAgent():
                return await self.deletions.delete(message)
            case CheckDeploy() | TidyAgent():
                return await self._see_to_versions(message)
            case _:
                assert_never(message)

    async def _change_pool(self, message: Refill | GiveWay) -> str:
        if isinstance(message, Refill):
            return f"{await self.pool.refill(message.user_id, message.slug)} made"
        return f"{await self.pool.give_way()} gave way"

    async def _see_to_session(self, message: PauseSession | EndSession) -> str:
        if isinstance(message, PauseSession):
            return await self.session_pauses.pause(message)
        return await self.session_ends.end_deleted(message)

    async def _see_to_versions(self, message: CheckDeploy | TidyAgent) -> str:
        if isinstance(message, CheckDeploy):
            return self.deploy_checks.check(message)
        return await self.retention.tidy(message)

    async def _stop(self, message: StopAgent) -> int:
        """End an agent's sandboxes, unless it was deployed again meanwhile."""
        with suppress(NotFound):
            agent = self.agents.get(message.user_id, message.slug)
            if agent.agent_id == message.agent_id and agent.status != "stopped":
                return 0
        return await self.deletions.end_sandboxes(message.agent_id, why="its agent was stopped")
