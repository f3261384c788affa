"""One call, one answer: starts an invocation and stays with it as long as the caller can wait."""

import asyncio
from dataclasses import dataclass

from castari.errors import RequestRepeated, StaleWrite, VendorUnavailable
from castari.models import Agent, Invocation
from castari.services import outcomes
from castari.services.attendance import Attendance
from castari.services.finishes import Finishes
from castari.services.launches import Launches, LaunchFailed
from castari.services.requests import Requests


@dataclass(frozen=True)
class Calls:
    """What the HTTP invoke does."""

    launches: Launches
    attendance: Attendance
    finishes: Finishes
    requests: Requests

    async def call(self, agent: Agent, draft: Invocation, seconds: float) -> Invocation:
        """Run a drafted invocation; return it finished, or still running after `seconds`.

        The same request made again waits for what it made before. Raises `Conflict` if the agent is not
        active, `VendorUnavailable` if nothing could be started, `Unprocessable` for a key of another body.
        """
        if earlier := self.requests.earlier(draft.request):
            return await self.requests.result(earlier, seconds)
        try:
            launched = await self.launches.launch(agent, draft, stored=False)
        except RequestRepeated:
            if earlier := self.requests.earlier(draft.request):
                return await self.requests.result(earlier, seconds)
            raise
        except LaunchFailed as failed:
            return self._give_up(failed)
        except StaleWrite as error:
            raise VendorUnavailable("the invocation could not be recorded: try again") from error
        beside = asyncio.create_task(self.launches.after_start(launched))
        try:
            return await self.attendance.wait(launched, seconds, beside)
        finally:
            await beside

    def _give_up(self, failed: LaunchFailed) -> Invocation:
        """End what was claimed; raise where the caller may simply try again."""
        if isinstance(failed.cause, VendorUnavailable):
            self.finishes.without_report(failed.claimed, outcomes.not_started(str(failed.cause)))
            raise failed.cause
        return self.finishes.by_stored_report(failed.claimed, outcomes.lost()).invocation
