"""One call, one answer: starts an invocation and stays with it as long as the caller can wait."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from castari.errors import (
    NoCapacity,
    NotFound,
    RequestRepeated,
    SessionEnded,
    StaleWrite,
    VendorRateLimited,
    VendorUnavailable,
)
from castari.models import Agent, Invocation
from castari.services import outcomes
from castari.services.attempts import Launched, LaunchFailed, StartUnconfirmed
from castari.services.attendance import Attendance
from castari.services.finishes import Finishes
from castari.services.launches import Launches, Offers
from castari.services.line import Line
from castari.services.outcomes import Outcome
from castari.services.requests import Requests
from castari.services.successions import Succession

_BESIDE_SECONDS = 1.5
"""What runs beside the agent has had its time by then; what it has not done, sweep does."""
_SOON_SECONDS = 0.1


@dataclass(frozen=True)
class Calls:
    """What the HTTP invoke does."""

    launches: Launches
    attendance: Attendance
    finishes: Finishes
    requests: Requests
    line: Line
    soon_seconds: float = _SOON_SECONDS
    """A successor is asked for so soon, also while the agent runs."""

    async def call(
        self,
        agent: Agent,
        draft: Invocation,
        seconds: float,
        *,
        start_seconds: float | None = None,
        offers: Offers | None = None,
    ) -> Invocation:
        """Run a drafted invocation; return it finished, or still open after `seconds`.

        A sandbox that has not started after `start_seconds`, or that cannot be made yet, leaves it to the
        queue. The same request made again waits for what it made before. Raises `Conflict` if the agent is
        not active or its session cannot be had, `VendorUnavailable` if nothing could be started,
        `Unprocessable` for a key of another body.
        """
        clock = asyncio.get_running_loop().time
        ends_at = clock() + seconds
        if earlier := self.requests.earlier(draft.request):
            return await self.requests.result(earlier, seconds)
        try:
            launched = await self._launch(agent, draft, start_seconds, offers)
        except RequestRepeated:
            if earlier := self.requests.earlier(draft.request):
                return await self.requests.result(earlier, ends_at - clock())
            raise
        except LaunchFailed as failed:
            return await self._give_up(failed)
        except StaleWrite as error:
            with suppress(NotFound):
                return self.finishes.current(draft)  # Cancelled, while its sandbox was made.
            raise VendorUnavailable("the invocation could not be recorded: try again") from error
        if isinstance(launched, Invocation):
            return launched
        return await self._attend(launched, ends_at - clock())

    async def _attend(self, launched: Launched, seconds: float) -> Invocation:
        succession = Succession(self.launches.maintenance, launched, self.soon_seconds)
        bounding = asyncio.create_task(self.launches.bound(launched))
        try:
            return await self.attendance.wait(launched, seconds, bounding, succession)
        finally:
            await succession.settled(_BESIDE_SECONDS)
            await asyncio.wait({bounding}, timeout=_BESIDE_SECONDS)

    async def _launch(
        self, agent: Agent, draft: Invocation, seconds: float | None, offers: Offers | None
    ) -> Launched | Invocation:
        """Return what was launched, or the invocation that waits in line. Raises as `Launches.launch`."""
        try:
            return await self.launches.launch(
                agent, draft, stored=False, attended=True, seconds=seconds, offers=offers
            )
        except NoCapacity:
            self.finishes.invocations.create(draft)
            self.line.join(draft)
            self.line.ask()
            return draft

    async def _give_up(self, failed: LaunchFailed) -> Invocation:
        """Leave what was claimed to the queue or end it; raise where the caller may simply try again."""
        match failed.cause:
            case StartUnconfirmed():
                return self.finishes.current(failed.claimed)
            case VendorRateLimited():
                with suppress(StaleWrite):
                    self.finishes.requeues.not_started(failed.claimed)
                return self.finishes.current(failed.claimed)
            case VendorUnavailable():
                return self._refuse(failed, outcomes.not_started(str(failed.cause)))
            case SessionEnded():
                return self._refuse(failed, outcomes.session_ended(failed.cause.remedy or ""))
            case _:
                finished = self.finishes.by_stored_report(failed.claimed, outcomes.lost())
                if failed.claimed.in_session:
                    await self.attendance.end(finished)
                return finished.invocation

    def _refuse(self, failed: LaunchFailed, outcome: Outcome) -> Invocation:
        """End what started nothing and say why, unless somebody else was faster."""
        finished = self.finishes.without_report(failed.claimed, outcome)
        if finished.won:
            raise failed.cause
        return finished.invocation
