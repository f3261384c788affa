"""Carries out what was asked for on the maintenance queue."""

from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from castari.adapters.queues import Queue
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.invocations import InvocationsTable
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
    ReplaceSandbox,
    StopAgent,
    TidyAgent,
)
from castari.services.deletions import Deletions
from castari.services.deploy_checks import DeployChecks
from castari.services.retention import Retention
from castari.services.session_ends import SessionEnds
from castari.services.session_pauses import SessionPauses
from castari.services.warm import WarmPool

_IN_USE = "in use"
_AGAIN_SECONDS = 1


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
    invocations: InvocationsTable
    maintenance: Queue

    async def carry_out(self, message: Maintenance) -> str:
        """Do what a message asks for; tell what was done. Raises `VendorUnavailable`."""
        match message:
            case DestroySandbox() | ReplaceSandbox():
                return await self._end_sandbox(message)
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

    async def _end_sandbox(self, message: DestroySandbox | ReplaceSandbox) -> str:
        if isinstance(message, ReplaceSandbox):
            return await self._replace(message)
        return await self._destroy(message)

    async def _destroy(self, message: DestroySandbox) -> str:
        if message.invocation_id and not self._is_over(message.invocation_id, message.attempt):
            return _IN_USE
        return "killed" if await self.sandboxes.kill(message.sandbox_id) else "gone already"

    async def _replace(self, message: ReplaceSandbox) -> str:
        """End a sandbox, and make another in any case.

        Whoever ends its attempt is at it: if it is not over yet, it is in a second, or is left to others.
        """
        end = DestroySandbox(
            sandbox_id=message.sandbox_id, invocation_id=message.invocation_id, attempt=message.attempt
        )
        try:
            if (ended := await self._destroy(end)) == _IN_USE:
                self.maintenance.send(end, delay_seconds=_AGAIN_SECONDS)
        finally:
            made = await self.pool.refill(message.user_id, message.slug)
        return f"{ended}, {made} made"

    def _is_over(self, invocation_id: str, attempt: int) -> bool:
        """Tell whether nothing that an attempt's sandbox does counts any more."""
        try:
            invocation = self.invocations.get(invocation_id)
        except NotFound:
            return True
        return invocation.status != "running" or invocation.attempt != attempt

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
