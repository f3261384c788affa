"""Starts what a template wants to run in each of its sandboxes, and waits until that is ready."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from local.sandboxes.processes.service import Processes
from local.sandboxes.server.guest_command import CommandLostError, GuestCommand, run
from local.sandboxes.server.runtime import Runtime

CREATE_SECONDS = 50.0
"""How long a new sandbox may take to be ready: less than the minute after which the SDKs give up."""

_PAUSE_SECONDS = 0.05


class NotReadyError(Exception):
    """The start command failed, or the ready command never succeeded."""


async def bring_up(
    processes: Processes, runtime: Runtime, seconds: float, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Start the start command and wait for the ready command. Raises `NotReadyError`."""
    started = asyncio.Event()
    service = asyncio.create_task(_serve(processes, runtime, started, tell))
    try:
        async with asyncio.timeout(seconds):
            await _either(started, service)
            while runtime.ready_command and not await _is_ready(processes, runtime):
                _check(service)
                await asyncio.sleep(_PAUSE_SECONDS)
        _check(service)
    except TimeoutError:
        command = runtime.ready_command or runtime.start_command
        raise NotReadyError(f"not ready after {seconds:g} s: `{command}` did not succeed") from None
    finally:
        # It runs on; only we listen no longer.
        service.cancel()
        with suppress(asyncio.CancelledError, CommandLostError):
            await service


async def _serve(
    processes: Processes, runtime: Runtime, started: asyncio.Event, tell: Callable[[str], None]
) -> int:
    if not runtime.start_command:
        started.set()
        return 0
    command = GuestCommand(runtime.start_command, runtime.user)
    return await run(processes, command, on_start=started.set, on_stdout=tell, on_stderr=tell)


async def _either(started: asyncio.Event, service: asyncio.Task[int]) -> None:
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait((waiting, service), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _is_ready(processes: Processes, runtime: Runtime) -> bool:
    return await run(processes, GuestCommand(runtime.ready_command, runtime.user)) == 0


def _check(service: asyncio.Task[int]) -> None:
    if not service.done():
        return
    try:
        code = service.result()
    except CommandLostError as error:
        raise NotReadyError(f"the start command could not be started: {error}") from error
    if code != 0:
        raise NotReadyError(f"the start command ended with exit code {code}")
