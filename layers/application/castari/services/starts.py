"""Starts queued invocations and leaves them to themselves."""

import asyncio
from dataclasses import dataclass

from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import Conflict, NotFound, StaleWrite, VendorUnavailable
from castari.models import Failure, Invocation
from castari.services import outcomes
from castari.services.finishes import Finishes
from castari.services.launches import Launches, LaunchFailed
from castari.services.outcomes import Outcome
from castari.services.requeues import Requeues


@dataclass(frozen=True)
class Starts:
    """What the queue's consumer does with an id."""

    agents: AgentsTable
    invocations: InvocationsTable
    launches: Launches
    finishes: Finishes
    requeues: Requeues

    async def start(self, invocation_id: str) -> str:
        """Launch a queued invocation; tell what became of it. A second delivery changes nothing."""
        try:
            invocation = self.invocations.get(invocation_id)
        except NotFound:
            return "gone"
        if invocation.status != "queued":
            return "claimed already"
        try:
            return await self._launch(invocation)
        except StaleWrite:
            return "claimed already"

    async def _launch(self, invocation: Invocation) -> str:
        try:
            agent = self.agents.get(invocation.user_id, invocation.slug)
            launched = await self.launches.launch(agent, invocation, stored=True)
        except (NotFound, Conflict) as error:
            if isinstance(error, StaleWrite):
                raise
            self.finishes.without_report(invocation, _agent_gone(str(error)))
            return "the agent is not active"
        except LaunchFailed as failed:
            return self._settle(failed)
        await asyncio.gather(self.launches.bound(launched), self.launches.refill(launched))
        await launched.command.let_go()
        return "started on a warm sandbox" if launched.was_warm else "started on a new sandbox"

    def _settle(self, failed: LaunchFailed) -> str:
        """Queue it again where nothing was started, and end it where that cannot be known."""
        if not isinstance(failed.cause, VendorUnavailable):
            return self.finishes.by_stored_report(failed.claimed, outcomes.lost()).invocation.status
        pause = self.requeues.not_started(failed.claimed)
        return f"queued again for {pause} s: {failed.cause}"


def _agent_gone(reason: str) -> Outcome:
    failure = Failure(
        code="agent_not_active",
        message=f"the agent could not be run when its turn came: {reason}",
        remedy="deploy the agent, then invoke again",
    )
    return Outcome("failed", failure)
