"""A process in the daemon: what its listeners get, whatever they and its descendants do."""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.sandboxes.envd import subscription
from local.sandboxes.envd.accounts import Account, Accounts
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.launch import StartRequest, launch
from local.sandboxes.envd.process import Process
from local.sandboxes.envd.reaper import Reaper
from local.sandboxes.envd.subscription import Subscription


class Starter:
    """Starts processes as the daemon does."""

    def __init__(self, home: Path) -> None:
        self.account = Account("user", os.getuid(), os.getgid(), str(home))
        self.guest = Guest(Accounts("none", {"user": self.account}), lambda: None)
        self.reaper = Reaper()
        self.reaper.start()
        self.ended: list[Process] = []

    def start(self, script: str, *, stdin: bool = False, cwd: str = "") -> tuple[Process, Subscription]:
        message = {"process": {"cmd": "/bin/sh", "args": ["-c", script], "cwd": cwd}, "stdin": stdin}
        process, pipes = launch(self.guest, self.account, StartRequest.parse(message), self.ended.append)
        self.reaper.watch(process.pid, process.exited)
        listener = process.subscribe()
        process.attach(pipes)
        return process, listener


@pytest.fixture
async def starter(tmp_path: Path) -> Starter:
    return Starter(tmp_path)


async def events(listener: Subscription, keepalive: float = 60) -> list[Any]:
    return [json.loads(frame[5:])["event"] async for frame in listener.frames(keepalive)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the code under test has no event for it
            await asyncio.sleep(0.001)


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def output(found: list[Any], name: str = "stdout") -> bytes:
    return b"".join(base64.b64decode(each["data"].get(name, "")) for each in found if "data" in each)


async def test_events_come_in_order_and_end_with_the_exit(starter: Starter) -> None:
    process, listener = starter.start("echo out; echo err >&2; exit 7")
    found = await events(listener)
    assert found[0] == {"start": {"pid": process.pid}}
    assert (output(found), output(found, "stderr")) == (b"out\n", b"err\n")
    assert found[-1]["end"] == {
        "exitCode": 7,
        "exited": True,
        "status": "exit status 7",
        "error": "exit status 7",
    }
    assert starter.ended == [process]


async def test_a_listener_that_takes_nothing_holds_the_process_up(starter: Starter) -> None:
    process, listener = starter.start("head -c 8000000 /dev/zero; echo end")
    await until(lambda: listener.full)
    await asyncio.sleep(0.05)
    # Nothing is read beyond what the queue holds, so the process waits in its write.
    assert len(listener._events) <= subscription.MAX_EVENTS + 2
    assert process.running
    assert len(output(await events(listener))) == 8_000_004


async def test_a_slow_listener_that_leaves_frees_the_others(starter: Starter) -> None:
    process, slow = starter.start("head -c 8000000 /dev/zero")
    other = process.subscribe()
    await until(lambda: slow.full)
    process.unsubscribe(slow)
    assert (await events(other))[-1]["end"]["exitCode"] == 0


async def test_a_process_without_listeners_runs_to_its_end(starter: Starter) -> None:
    process, listener = starter.start("head -c 8000000 /dev/zero")
    process.unsubscribe(listener)
    await until(lambda: not process.running)
    late = await events(process.subscribe())
    assert [next(iter(each)) for each in late] == ["start", "end"]


async def test_a_deadline_gives_its_starter_an_error_and_others_the_end(starter: Starter) -> None:
    process, listener = starter.start("exec sleep 60")
    other = process.subscribe()
    process.set_deadline(0.01, listener)
    with pytest.raises(ConnectError) as caught:
        await events(listener)
    assert caught.value.code == "deadline_exceeded"
    assert (await events(other))[-1]["end"]["status"] == "signal: killed"


async def test_a_deadline_after_the_exit_is_none_if_the_end_was_told(starter: Starter) -> None:
    process, listener = starter.start("true")
    process.set_deadline(0.2, listener)
    await until(lambda: not process.running)
    await asyncio.sleep(0.3)
    assert (await events(listener))[-1]["end"]["exitCode"] == 0


async def test_a_deadline_counts_while_a_grandchild_holds_the_output(starter: Starter) -> None:
    process, listener = starter.start("sleep 60 & echo $!")
    process.set_deadline(0.2, listener)
    with pytest.raises(ConnectError):
        await events(listener)
    assert not process.running


async def test_descriptors_are_given_back(starter: Starter) -> None:
    _, first = starter.start("true")
    await events(first)
    before = open_descriptors()
    for _ in range(20):
        _, listener = starter.start("cat", stdin=False)
        await events(listener)
        with pytest.raises(ConnectError):
            starter.start("true", cwd="/no/such")
    assert open_descriptors() == before


async def test_a_program_that_can_not_be_executed_is_named(starter: Starter) -> None:
    request = StartRequest.parse({"process": {"cmd": "/no/such/program"}})
    starter.guest.spawner(starter.account)
    before = open_descriptors()
    with pytest.raises(ConnectError, match="'/no/such/program' can not be started: No such file"):
        launch(starter.guest, starter.account, request, starter.ended.append)
    assert open_descriptors() == before


async def test_input_waits_while_the_pipe_is_full_and_fails_when_nobody_reads(starter: Starter) -> None:
    process, listener = starter.start("sleep 0.1; exec 0<&-; sleep 60", stdin=True)
    assert process.input
    with pytest.raises(ConnectError, match="does not read its stdin"):
        await process.input.write(bytes(1_000_000))
    process.set_deadline(0, listener)
    with pytest.raises(ConnectError):
        await events(listener)


async def test_an_end_wakes_a_writer_that_waits(starter: Starter) -> None:
    process, listener = starter.start("sleep 60", stdin=True)
    assert process.input
    writing = asyncio.create_task(process.input.write(bytes(1_000_000)))
    await asyncio.sleep(0.05)
    process.input.close()
    with pytest.raises(ConnectError, match="stdin is closed"):
        await writing
    process.set_deadline(0, listener)
    with pytest.raises(ConnectError):
        await events(listener)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({}, "'process.cmd' is missing"),
        ({"process": {"cmd": "a\0b"}}, "can not contain NUL"),
        ({"process": {"cmd": "a", "args": [1]}}, "are text"),
        ({"process": {"cmd": "a", "args": "b"}}, "'args' must be of type list"),
        ({"process": {"cmd": "a", "envs": {"A=B": "c"}}}, "'A=B' is no name"),
        ({"process": {"cmd": "a"}, "stdin": 1}, "'stdin' must be of type bool"),
        ({"process": {"cmd": "a"}, "pty": {"size": {"rows": -1}}}, "0 to 65535 rows"),
    ],
)
def test_a_malformed_start_is_refused(message: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConnectError, match=complaint):
        StartRequest.parse(message)
