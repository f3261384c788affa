"""Sandboxes that are gone or out of reach: what the SDKs raise then, whichever way it came about."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2b import PtySize
from e2b.exceptions import (
    SandboxException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxUnreachableException,
)

from tests.conformance.conftest import ENGINE, Sdk, until
from tests.conformance.server import RunningServer, running_server

Call = Callable[[Sdk, Any], Awaitable[Any]]

DAEMON_CALLS: dict[str, Call] = {
    "run": lambda sdk, sandbox: sdk(sandbox.commands.run, "true"),
    "list processes": lambda sdk, sandbox: sdk(sandbox.commands.list),
    "connect to a process": lambda sdk, sandbox: sdk(sandbox.commands.connect, 1),
    "open a terminal": lambda sdk, sandbox: sdk(
        sandbox.pty.create, PtySize(rows=1, cols=1), **_callback(sdk, "on_data")
    ),
    "read": lambda sdk, sandbox: sdk(sandbox.files.read, "x"),
    "write": lambda sdk, sandbox: sdk(sandbox.files.write, "x", "y"),
    "list": lambda sdk, sandbox: sdk(sandbox.files.list, "/"),
    "watch": lambda sdk, sandbox: sdk(sandbox.files.watch_dir, "/", **_callback(sdk, "on_event")),
}
CONTROL_CALLS: dict[str, Call] = {
    "get info": lambda sdk, sandbox: sdk(sandbox.get_info),
    "get metrics": lambda sdk, sandbox: sdk(sandbox.get_metrics),
    "set timeout": lambda sdk, sandbox: sdk(sandbox.set_timeout, 60),
    "pause": lambda sdk, sandbox: sdk(sandbox.pause),
    "connect": lambda sdk, sandbox: sdk(sandbox.connect),
    "fork": lambda sdk, sandbox: sdk(sandbox.fork),
    "snapshot": lambda sdk, sandbox: sdk(sandbox.create_snapshot),
    "change the network": lambda sdk, sandbox: sdk(sandbox.update_network, {"deny_out": ["192.0.2.1"]}),
}
GONE = "The sandbox was not found|probably not running"
"""What each SDK says of a sandbox that runs no longer."""


def _callback(sdk: Sdk, name: str) -> dict[str, Any]:
    return {name: lambda _: None} if sdk.calls_back else {}


async def check_gone(sdk: Sdk, sandbox: Any) -> None:
    """Hold that every call tells that the sandbox is gone, with the class made for that."""
    for call in DAEMON_CALLS.values():
        with pytest.raises(SandboxNotRunningException, match=GONE):
            await call(sdk, sandbox)
    for call in CONTROL_CALLS.values():
        with pytest.raises(SandboxNotFoundException, match=f"{sandbox.sandbox_id} not found"):
            await call(sdk, sandbox)
    assert await sdk(sandbox.is_running) is False
    assert await sdk(sandbox.kill) is False


async def ended(sdk: Sdk, sandbox: Any) -> None:
    """Wait until a sandbox is gone, as the control plane sees it."""

    async def is_gone() -> bool:
        try:
            await sdk(sandbox.get_info)
        except SandboxNotFoundException:
            return True
        return False

    await until(is_gone)


@pytest.mark.parametrize("call", DAEMON_CALLS)
async def test_a_killed_sandbox_runs_nothing(sdk: Sdk, call: str) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.kill)
    with pytest.raises(SandboxNotRunningException, match=GONE):
        await DAEMON_CALLS[call](sdk, sandbox)


@pytest.mark.parametrize("call", CONTROL_CALLS)
async def test_a_killed_sandbox_can_not_be_found(sdk: Sdk, call: str) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.kill)
    with pytest.raises(SandboxNotFoundException, match=f"{sandbox.sandbox_id} not found"):
        await CONTROL_CALLS[call](sdk, sandbox)


@pytest.mark.parametrize("call", DAEMON_CALLS)
async def test_a_paused_sandbox_runs_nothing(sdk: Sdk, sandbox: Any, call: str) -> None:
    await sdk(sandbox.pause)
    with pytest.raises(SandboxNotRunningException, match=GONE):
        await DAEMON_CALLS[call](sdk, sandbox)


async def test_a_sandbox_whose_time_is_over_is_gone(sdk: Sdk) -> None:
    sandbox = await sdk.create(timeout=1)
    await ended(sdk, sandbox)
    await check_gone(sdk, sandbox)


async def test_a_command_ends_as_not_running_when_the_time_of_its_sandbox_is_over(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    command = await sdk(sandbox.commands.run, "sleep 600", background=True)
    await sdk(sandbox.set_timeout, 1)
    with pytest.raises(SandboxNotRunningException):
        await sdk(command.wait)


@pytest.mark.local
@pytest.mark.skipif(ENGINE != "namespaces", reason="only there the daemon is a process of its own")
async def test_a_sandbox_whose_daemon_died_is_gone(sdk: Sdk, tmp_path: Path) -> None:
    with running_server(tmp_path, engine=ENGINE) as server:
        sandbox = await sdk.create(**server.options)
        command = await sdk(sandbox.commands.run, "sleep 600", background=True)
        for process in psutil.Process(server.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # The pool's own come and go.
                if process.name() == "envd":
                    process.kill()
        # Out of reach, for as long as the server has not seen it end.
        with pytest.raises((SandboxNotRunningException, SandboxUnreachableException)):
            await sdk(command.wait)
        await ended(sdk, sandbox)
        await check_gone(sdk, sandbox)


@pytest.mark.local
async def test_a_sandbox_is_gone_after_its_server_was_started_anew(sdk: Sdk, tmp_path: Path) -> None:
    async with restarted_server(tmp_path) as (server, restart):
        sandbox = await sdk.create(**server.options)
        await restart()
        await check_gone(sdk, sandbox)


@pytest.mark.local
async def test_a_server_that_is_down_is_told_from_a_sandbox_that_is_gone(sdk: Sdk, tmp_path: Path) -> None:
    async with restarted_server(tmp_path) as (server, restart):
        sandbox = await sdk.create(**server.options)
        command = await sdk(sandbox.commands.run, "sleep 600", background=True)
        server.process.kill()
        server.process.wait(30)
        # The JavaScript SDK has no class of its own for that.
        kind = SandboxException if sdk.flavour == "js" else SandboxUnreachableException
        with pytest.raises(kind, match=r"terminated|its health probe failed too"):
            await sdk(command.wait)
        with pytest.raises(kind, match=r"fetch failed|its health probe failed too"):
            await sdk(sandbox.commands.run, "true")
        await restart()  # It removes what the killed one left.


@contextlib.asynccontextmanager
async def restarted_server(
    state: Path,
) -> AsyncIterator[tuple[RunningServer, Callable[[], Awaitable[None]]]]:
    """A server, and what kills it and starts it anew where it was."""
    instance = secrets.token_hex(4)
    with running_server(state, engine=ENGINE, instance=instance) as server:
        port = server.url.rpartition(":")[2]
        again = running_server(state, "--port", port, engine=ENGINE, instance=instance)
        restarted = False

        async def restart() -> None:
            nonlocal restarted
            server.process.kill()
            server.process.wait(30)
            await asyncio.to_thread(again.__enter__)
            restarted = True

        try:
            yield server, restart
        finally:
            if restarted:
                await asyncio.to_thread(again.__exit__, None, None, None)
