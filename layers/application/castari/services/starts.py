"""Starts queued invocations and leaves them to themselves."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import (
    Conflict,
    NoCapacity,
    NotFound,
    SessionBusy,
    SessionEnded,
    StaleWrite,
    TooManySessions,
    VendorUnavailable,
)
from castari.messages import ServeLine, StartInvocation, Work
from castari.models import Failure, Invocation
from castari.services import outcomes
from castari.services.attempts import LaunchFailed, StartUnconfirmed
from castari.services.attendance import Attendance
from castari.services.finishes import Finishes
from castari.services.launches import Launches
from castari.services.line import Line
from castari.services.outcomes import Outcome
from castari.services.requeues import Requeues

_PAUSES_SECONDS = (0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Starts:
    """What the queue's consumer does with an id."""

    agents: AgentsTable
    invocations: InvocationsTable
    launches: Launches
    finishes: Finishes
    requeues: Requeues
    line: Line
    attendance: Attendance

    async def carry_out(self, work: Work) -> str:
        """Do what a message asks for; tell what became of it."""
        match work:
            case StartInvocation():
                return await self.start(work.invocation_id, promise=self.line.redeem(work))
            case ServeLine():
                return f"{await self.line.serve()} called up"
            case _:
                assert_never(work)

    async def start(self, invocation_id: str, *, promise: str | None = None) -> str:
        """Launch a queued invocation; tell what became of it. A second delivery changes nothing.

        Where it was called up from the line, it has the `promise` of a sandbox.
        """
        try:
            invocation = self.invocations.get(invocation_id)
        except NotFound:
            return self._not_needed("gone", promise)
        if invocation.status != "queued":
            return self._not_needed("claimed already", promise)
        try:
            return await self._launch(invocation, promise)
        except StaleWrite:
            return "claimed already"
        except NotFound:
            return "gone"  # Deleted with its agent, just now.

    def _not_needed(self, result: str, promise: str | None) -> str:
        self.line.capacity.give_back(promise)
        return result

    async def _launch(self, invocation: Invocation, promise: str | None) -> str:
        try:
            agent = self.agents.get(invocation.user_id, invocation.slug)
        except NotFound as error:
            self._not_needed("", promise)
            self.finishes.without_report(invocation, _agent_gone(str(error)))
            return "the agent is not active"
        try:
            launched = await self.launches.launch(agent, invocation, stored=True, promise=promise)
        except NoCapacity as error:
            return await self._wait_in_line(invocation, error)
        except (SessionBusy, SessionEnded, TooManySessions) as error:
            return self._without_session(invocation, error)
        except (NotFound, Conflict) as error:
            if isinstance(error, StaleWrite):
                raise
            self.finishes.without_report(invocation, _agent_gone(str(error)))
            return "the agent is not active"
        except LaunchFailed as failed:
            return await self._settle(failed)
        await asyncio.gather(self.launches.bound(launched), self.launches.refill(launched))
        await launched.command.let_go()
        return "started on a warm sandbox" if launched.was_warm else "started on a new sandbox"

    def _without_session(
        self, invocation: Invocation, error: SessionBusy | SessionEnded | TooManySessions
    ) -> str:
        if isinstance(error, SessionBusy):
            return f"waits {self.requeues.wait(invocation)} s for its session"
        if isinstance(error, TooManySessions):
            refused = outcomes.too_many_sessions(str(error), error.remedy or "")
            self.finishes.without_report(invocation, refused)
            return "the agent has too many sessions"
        self.finishes.without_report(invocation, outcomes.session_ended(error.remedy or ""))
        return "the session cannot be resumed"

    async def _wait_in_line(self, invocation: Invocation, why: NoCapacity) -> str:
        self.line.join(invocation)
        # It may have become possible while it joined, and then nobody else would notice.
        await self.line.serve()
        return f"waits in line: {why}"

    async def _settle(self, failed: LaunchFailed) -> str:
        """Queue it again where nothing was started, and end it where that cannot be known."""
        match failed.cause:
            case VendorUnavailable() as cause:
                pause = await self._put_back(failed.claimed)
                return f"queued again for {pause} s: {cause}"
            case SessionEnded() as cause:
                self.finishes.without_report(failed.claimed, outcomes.session_ended(cause.remedy or ""))
                return "the session cannot be resumed"
            case StartUnconfirmed():
                return "not confirmed: its result ends it, or sweep"
            case _:
                finished = self.finishes.by_stored_report(failed.claimed, outcomes.lost())
                if failed.claimed.in_session:
                    await self.attendance.end(finished)
                return finished.invocation.status

    async def _put_back(self, claimed: Invocation) -> int:
        """Queue an attempt again that started nothing: nobody else can tell that, and would call it lost."""
        for pause in _PAUSES_SECONDS:
            with suppress(VendorUnavailable):
                return self.requeues.not_started(claimed)
            await asyncio.sleep(pause)
        return self.requeues.not_started(claimed)


def _agent_gone(reason: str) -> Outcome:
    failure = Failure(
        code="agent_not_active",
        message=f"the agent could not be run when its turn came: {reason}",
        remedy="deploy the agent, then invoke again",
    )
    return Outcome("failed", failure)
