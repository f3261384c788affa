"""Starts runners; where a start is not answered, asks the sandbox itself whether its agent has begun.

The first thing that a start does is to make a file, which is made once or not at all. Who asks makes the same
file: if that works, the start never came, and should it come yet, it finds the file and does nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from castari.adapters.commands import RunningCommand
from castari.adapters.sandboxes import Sandboxes
from castari.errors import CastariError, SandboxLost, SandboxMissing, VendorUnavailable
from castari.models import Invocation, SandboxAccess
from castari.services.attempts import StartUnconfirmed
from castari.services.environments import COMMAND_GRACE_SECONDS, RUN_COMMAND

_TAKEN_STATUS = 75
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)
_ASK_SECONDS = 3.0
Answer = Literal["begun", "never", "gone", "unknown"]


@dataclass(frozen=True)
class RunnerStarts:
    """One start for each attempt in a sandbox."""

    sandboxes: Sandboxes

    async def start(
        self,
        access: SandboxAccess,
        invocation: Invocation,
        environment: Mapping[str, SecretStr],
        *,
        ends_at: float | None,
    ) -> RunningCommand:
        """Start the runner for an attempt that has this sandbox recorded.

        Raises `SandboxMissing` or another `VendorUnavailable` if nothing was started, nor ever will be;
        `SandboxLost` if the sandbox is gone and nobody can tell; `StartUnconfirmed` if the agent has begun
        or may have, unheard, which is also what is left to say at `ends_at` (of the loop's clock).
        """
        try:
            async with asyncio.timeout_at(ends_at):
                try:
                    return await self.sandboxes.start(
                        access,
                        run_command(invocation),
                        environment=environment,
                        timeout_seconds=invocation.timeout_seconds + COMMAND_GRACE_SECONDS,
                    )
                except SandboxLost as error:
                    raise _unanswered(await self.ask(access, invocation)) from error
        except TimeoutError as error:
            raise StartUnconfirmed("the start was not confirmed in time") from error

    async def ask(self, access: SandboxAccess, invocation: Invocation) -> Answer:
        """Return whether an attempt has begun in its sandbox; once it is `never`, it stays so."""
        for pause in (*_PAUSES_SECONDS, None):
            try:
                return await self._ask(access, ask_command(invocation))
            except SandboxMissing:
                return "gone"
            except (CastariError, TimeoutError):
                if pause is not None:
                    await asyncio.sleep(pause)
        return "unknown"

    async def _ask(self, access: SandboxAccess, command: str) -> Answer:
        async with asyncio.timeout(_ASK_SECONDS):
            asked = await self.sandboxes.start(access, command, environment={}, timeout_seconds=_ASK_SECONDS)
            try:
                async for frame in asked.frames():
                    if frame["castari"] == "begun":
                        return "never" if frame.get("begun") is False else "begun"
                return "unknown"
            finally:
                await asked.let_go()


def run_command(invocation: Invocation) -> str:
    """Return the command that runs an attempt, unless somebody asked for it before.

    Where the file can be neither made nor found, on a full disk, the agent runs all the same.
    """
    mark = _mark(invocation)
    first = f"set -C; : > {mark} || {{ [[ -e {mark} ]] && exit {_TAKEN_STATUS}; }}; set +C"
    return f"{first}; {RUN_COMMAND}"


def ask_command(invocation: Invocation) -> str:
    """Return the command that prints whether an attempt has begun, and keeps it from beginning if not."""
    mark = _mark(invocation)
    return (
        f"set -C; echo never > {mark}; read -r word < {mark}; [[ -e {mark} ]] || exit;"
        " [[ $word == never ]] && begun=false || begun=true;"
        """ echo '{"castari": "begun", "begun": '$begun'}'"""
    )


def _mark(invocation: Invocation) -> str:
    return f"/home/user/.castari/begun.{invocation.invocation_id}.{invocation.attempt}"


def _unanswered(answer: Answer) -> CastariError:
    match answer:
        case "never":
            return VendorUnavailable("the start did not come to the sandbox: try again in a moment")
        case "gone":
            return SandboxLost("the sandbox was gone before its start was confirmed")
        case _:
            return StartUnconfirmed("the start was not confirmed, and the agent may run")
