"""Starts queued invocations and leaves them to themselves."""

from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import Conflict, NotFound, StaleWrite, VendorUnavailable
from castari.messages import StartInvocation
from castari.models import Failure, Invocation
from castari.services import invocation_states, outcomes
from castari.services.finishes import Finishes
from castari.services.invocations import QUEUE_SECONDS
from castari.services.launches import Launches, LaunchFailed
from castari.services.outcomes import Outcome

_LONGEST_PAUSE_SECONDS = 60


@dataclass(frozen=True)
class Starts:
    """What the queue's consumer does with an id."""

    agents: AgentsTable
    invocations: InvocationsTable
    launches: Launches
    finishes: Finishes
    queue: Queue

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
        await self.launches.after_start(launched)
        await launched.command.let_go()
        return "started on a warm sandbox" if launched.was_warm else "started on a new sandbox"

    def _settle(self, failed: LaunchFailed) -> str:
        """Queue it again where nothing was started, and end it where that cannot be known."""
        if not isinstance(failed.cause, VendorUnavailable):
            self.finishes.by_stored_report(failed.claimed, outcomes.lost())
            return "lost"
        back = {**invocation_states.step(failed.claimed, "queued"), "sandbox_id": None, "started_at": None}
        deadline = failed.claimed.created_at + timedelta(seconds=QUEUE_SECONDS)
        waiting = self.invocations.change(failed.claimed, {**back, "deadline_at": deadline})
        pause = min(_LONGEST_PAUSE_SECONDS, 2**waiting.attempt)
        self.queue.send(StartInvocation(invocation_id=waiting.invocation_id), delay_seconds=pause)
        return f"queued again for {pause} s: {failed.cause}"


def _agent_gone(reason: str) -> Outcome:
    failure = Failure(
        code="agent_not_active",
        message=f"the agent could not be run when its turn came: {reason}",
        remedy="deploy the agent, then invoke again",
    )
    return Outcome("failed", failure)
