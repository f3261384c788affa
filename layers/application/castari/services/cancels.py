"""Ends what an agent still runs, because its owner stopped or deleted it."""

from dataclasses import dataclass

from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import NotFound
from castari.models import Invocation
from castari.services import outcomes
from castari.services.finishes import Finishes


@dataclass(frozen=True)
class Cancels:
    """Makes open invocations terminal; their sandboxes are ended by whoever asked for it."""

    invocations: InvocationsTable
    finishes: Finishes

    def cancel_all(self, agent_id: str) -> int:
        """Finish an agent's open invocations as cancelled; return how many."""
        ours = [invocation for invocation in self.invocations.open() if invocation.agent_id == agent_id]
        return sum(self._cancel(invocation) for invocation in ours)

    def _cancel(self, invocation: Invocation) -> bool:
        try:
            return self.finishes.without_report(invocation, outcomes.cancelled()).won
        except NotFound:
            return False
