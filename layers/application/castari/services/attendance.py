"""Stays with a launched attempt for a while, and finishes it if it ends meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from castari.adapters.commands import RunningCommand
from castari.errors import CommandTimedOut, SandboxLost, SandboxMissing, VendorUnavailable
from castari.models import Invocation
from castari.reports import RunReport
from castari.services import outcomes
from castari.services.attempts import Launched
from castari.services.finishes import Finished, Finishes
from castari.services.session_rests import SessionRests
from castari.services.successions import Succession

_KILL_SECONDS = 2.0
"""The caller waits no longer for it: the sandbox ends by itself soon."""
Kill = Callable[[str], Awaitable[object]]


@dataclass(frozen=True)
class Attendance:
    """Waits for results; first the terminal row, then the kill."""

    finishes: Finishes
    kill: Kill
    rests: SessionRests

    async def wait(
        self, launched: Launched, seconds: float, bounded: asyncio.Future[None], succession: Succession
    ) -> Invocation:
        """Return the invocation finished, or as it is after `seconds`: then its result comes by S3.

        It is not finished before `bounded`, after which the sandbox ends by itself: should we die between
        the terminal row and the kill, nothing else would know of it.
        """
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                finish = await self._listen(launched)
                succession.agent_ended()
                await asyncio.shield(bounded)
            finished = await asyncio.to_thread(finish)
        except (TimeoutError, SandboxLost, VendorUnavailable):
            # Also when a connection broke and nobody can tell: what is stored finishes it a moment later.
            return self.finishes.current(launched.invocation)
        finally:
            await launched.command.let_go()
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILL_SECONDS):
                if not await succession.ends_sandbox():
                    await self.end(finished)
        return finished.invocation

    async def end(self, finished: Finished) -> None:
        """Kill the sandbox of an invocation that we finished; else its timeout or sweep does it."""
        if finished.rests:
            self.rests.ask(finished.invocation)
        if finished.sandbox_id:
            try:
                await self.kill(finished.sandbox_id)
            except VendorUnavailable:
                return

    async def _listen(self, launched: Launched) -> Callable[[], Finished]:
        """Return how to finish, once the runner has ended. Raises `SandboxLost` if nobody can tell."""
        invocation, finishes = launched.invocation, self.finishes
        try:
            report = await _report(launched.command)
        except CommandTimedOut:
            timed_out = outcomes.timed_out(invocation.timeout_seconds)
            return lambda: finishes.by_stored_report(invocation, timed_out)
        except SandboxMissing:
            report = None
        if report is None or not _is_of(report, invocation):
            return lambda: finishes.by_stored_report(invocation, outcomes.lost())
        return partial(finishes.by_report, invocation, report)


async def _report(command: RunningCommand) -> RunReport | None:
    """Return the report of the closing frame, or None if the runner ended without a good one."""
    async for frame in command.frames():
        if frame["castari"] == "result":
            try:
                return RunReport.model_validate(frame.get("report"))
            except ValidationError:
                return None
    return None


def _is_of(report: RunReport, invocation: Invocation) -> bool:
    return (report.invocation_id, report.attempt) == (invocation.invocation_id, invocation.attempt)
