"""Ends what runs or waits: because its owner cancelled it, or stopped or deleted its agent."""

from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import NotFound, VendorUnavailable
from castari.messages import DestroySandbox
from castari.models import Agent, Invocation
from castari.services import outcomes
from castari.services.finishes import Finished, Finishes
from castari.services.invocation_states import is_terminal
from castari.services.outcomes import Outcome

_TRIES = 10
"""It may be claimed, or put back into the queue, just before each of them."""


@dataclass(frozen=True)
class Cancels:
    """Makes open invocations terminal; only then do their sandboxes end."""

    invocations: InvocationsTable
    finishes: Finishes
    maintenance: Queue

    def cancel(self, agent: Agent, invocation_id: str) -> Invocation:
        """Cancel one invocation; what is over stays as it ended. Raises `NotFound`, `VendorUnavailable`.

        Done again, it asks again for the end of the sandbox: the first message may never have been sent.
        """
        invocation = self.invocations.get(invocation_id)
        if invocation.agent_id != agent.agent_id:
            raise NotFound("Invocation not found")
        invocation = self._finish(invocation, outcomes.cancelled_by_owner()).invocation
        if invocation.status == "cancelled" and invocation.sandbox_id:
            self.maintenance.send(DestroySandbox(sandbox_id=invocation.sandbox_id))
        return invocation

    def cancel_all(self, agent_id: str) -> int:
        """Finish an agent's open invocations as cancelled; whoever asked for it ends the sandboxes.

        Raises `VendorUnavailable`.
        """
        ours = [invocation for invocation in self.invocations.open() if invocation.agent_id == agent_id]
        return sum(self._cancel(invocation) for invocation in ours)

    def cancel_held(self, invocation_id: str) -> bool:
        """Finish what runs in a session as cancelled; tell whether it was open.

        Whoever asked for it ends the sandbox. Raises `VendorUnavailable`.
        """
        try:
            invocation = self.invocations.get(invocation_id)
        except NotFound:
            return False
        return self._cancel(invocation)

    def _cancel(self, invocation: Invocation) -> bool:
        with suppress(NotFound):
            return self._finish(invocation, outcomes.cancelled()).won
        return False

    def _finish(self, invocation: Invocation, outcome: Outcome) -> Finished:
        """End what may not be as we know it: an index lags, and a worker may claim it at that moment."""
        finished = Finished(invocation, won=False, sandbox_id=None)
        for _ in range(_TRIES):
            if is_terminal(finished.invocation):
                return finished
            finished = self.finishes.without_report(finished.invocation, outcome)
        raise VendorUnavailable("the invocation changes all the time: cancel it again")
