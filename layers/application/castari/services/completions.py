"""Finishes invocations whose result was stored, whoever started them and whether or not they still live."""

from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.results import parse_result_key
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import NotFound
from castari.messages import DestroySandbox
from castari.models import Invocation
from castari.services import outcomes
from castari.services.finishes import Finishes
from castari.services.session_rests import SessionRests


@dataclass(frozen=True)
class Completions:
    """What the event of a stored result leads to."""

    invocations: InvocationsTable
    finishes: Finishes
    maintenance: Queue
    rests: SessionRests

    def complete_key(self, key: str) -> str:
        """Finish the attempt whose result this object is."""
        named = parse_result_key(key)
        return self.complete(*named) if named else "no result"

    def complete(self, invocation_id: str, attempt: int) -> str:
        """Finish an attempt; tell what became of it. A second event, or a stale one, changes nothing."""
        try:
            return self._complete(self.invocations.get(invocation_id), attempt)
        except NotFound:
            # Its agent was deleted, perhaps just now.
            return "unknown"

    def _complete(self, invocation: Invocation, attempt: int) -> str:
        if invocation.status != "running" or invocation.attempt != attempt:
            return f"{invocation.status} already"
        finished = self.finishes.by_stored_report(invocation, outcomes.lost())
        if finished.rests:
            self.rests.ask(finished.invocation)
        if finished.sandbox_id:
            self.maintenance.send(DestroySandbox(sandbox_id=finished.sandbox_id))
        return finished.invocation.status if finished.won else f"{finished.invocation.status} already"
