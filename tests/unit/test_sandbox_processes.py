"""A process in a sandbox: what its listeners get, whatever they and its descendants do."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.sandboxes.bare.engine import BareEngine
from local.sandboxes.engine import SandboxSpec
from local.sandboxes.envd import subscription
from local.sandboxes.envd.control import Report
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.subscription import Subscription
from local.sandboxes.processes.process import Process
from local.sandboxes.processes.service import Processes
from local.sandboxes.processes.start_request import StartRequest


@dataclass
class Starter:
    """Starts processes as the server does, over the line to a first process."""

    processes: Processes

    async def start(
        self, script: str, *, stdin: bool = False, cwd: str = "", seconds: float | None = None
    ) -> tuple[Process, Subscription]:
        message = {"process": {"cmd": "/bin/sh", "args": ["-c", script], "cwd": cwd}, "stdin": stdin}
        return await self.processes.start(StartRequest.parse(message), "", seconds)


@pytest.fixture
async def starter(tmp_path: Path) -> AsyncIterator[Starter]:
    engine = BareEngine(tmp_path)
    await engine.start()
    sandbox = await engine.create(SandboxSpec("one"))
    yield Starter(sandbox.processes)
    await engine.close()


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
    process, listener = await starter.start("echo out; echo err >&2; exit 7")
    found = await events(listener)
    assert found[0] == {"start": {"pid": process.pid}}
    assert (output(found), output(found, "stderr")) == (b"out\n", b"err\n")
    assert found[-1]["end"] == {
        "exitCode": 7,
        "exited": True,
        "status": "exit status 7",
        "error": "exit status 7",
    }
    assert not process.running
    assert list(starter.processes.running()) == []


async def test_a_listener_that_takes_nothing_holds_the_process_up(starter: Starter) -> None:
    process, listener = await starter.start("head -c 8000000 /dev/zero; echo end")
    await until(lambda: listener.full)
    await asyncio.sleep(0.05)
    # Nothing is read beyond what the queue holds, so the process waits in its write.
    assert len(listener._events) <= subscription.MAX_EVENTS + 2
    assert process.running
    assert len(output(await events(listener))) == 8_000_004


async def test_a_slow_listener_that_leaves_frees_the_others(starter: Starter) -> None:
    process, slow = await starter.start("head -c 8000000 /dev/zero")
    other = process.subscribe()
    await until(lambda: slow.full)
    process.unsubscribe(slow)
    assert (await events(other))[-1]["end"]["exitCode"] == 0


async def test_a_process_without_listeners_runs_to_its_end(starter: Starter) -> None:
    process, listener = await starter.start("head -c 8000000 /dev/zero")
    process.unsubscribe(listener)
    await until(lambda: not process.running)
    late = await events(process.subscribe())
    assert [next(iter(each)) for each in late] == ["start", "end"]


async def test_a_deadline_gives_its_starter_an_error_and_others_the_end(starter: Starter) -> None:
    process, listener = await starter.start("exec sleep 60")
    other = process.subscribe()
    process.set_deadline(0.01, listener)
    with pytest.raises(ConnectError) as caught:
        await events(listener)
    assert caught.value.code == "deadline_exceeded"
    assert (await events(other))[-1]["end"]["status"] == "signal: killed"


async def test_a_deadline_after_the_exit_is_none_if_the_end_was_told(starter: Starter) -> None:
    process, listener = await starter.start("true")
    process.set_deadline(0.2, listener)
    await until(lambda: not process.running)
    await asyncio.sleep(0.3)
    assert (await events(listener))[-1]["end"]["exitCode"] == 0


async def test_a_deadline_counts_while_a_grandchild_holds_the_output(starter: Starter) -> None:
    process, listener = await starter.start("sleep 60 & echo $!")
    process.set_deadline(0.2, listener)
    with pytest.raises(ConnectError):
        await events(listener)
    assert not process.running


async def test_descriptors_are_given_back(starter: Starter) -> None:
    _, first = await starter.start("true")
    await events(first)
    before = open_descriptors()
    for _ in range(20):
        _, listener = await starter.start("cat", stdin=False)
        await events(listener)
        with pytest.raises(ConnectError):
            await starter.start("true", cwd="/no/such")
    assert open_descriptors() == before


async def test_a_program_that_can_not_be_executed_is_named(starter: Starter) -> None:
    request = StartRequest.parse({"process": {"cmd": "/no/such/program"}})
    before = open_descriptors()
    with pytest.raises(ConnectError, match="'/no/such/program' can not be started: No such file"):
        await starter.processes.start(request)
    assert open_descriptors() == before


async def test_an_order_too_long_for_a_packet_arrives_whole(starter: Starter) -> None:
    text = "x" * 100_000
    process, listener = await starter.start(f"printf %s {text} | wc -c")
    assert output(await events(listener)) == b"100000\n"
    assert not process.running


async def test_a_starter_that_leaves_early_leaves_the_process_to_run(starter: Starter) -> None:
    starting = asyncio.create_task(starter.start("head -c 8000000 /dev/zero; exec sleep 60"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until(lambda: bool(list(starter.processes.running())))
    (process,) = starter.processes.running()
    process.send_signal(signal.SIGKILL)
    assert (await events(process.subscribe()))[-1]["end"]["status"] == "signal: killed"


async def test_who_listens_learns_that_the_sandbox_is_gone(starter: Starter) -> None:
    _, listener = await starter.start("exec sleep 60")
    starter.processes.close()
    with pytest.raises(ConnectionError):
        await events(listener)
    with pytest.raises(ConnectionError):
        await starter.start("true")


async def test_input_waits_while_the_pipe_is_full_and_fails_when_nobody_reads(starter: Starter) -> None:
    process, listener = await starter.start("sleep 0.1; exec 0<&-; sleep 60", stdin=True)
    assert process.input
    with pytest.raises(ConnectError, match="does not read its stdin"):
        await process.input.write(bytes(1_000_000))
    process.set_deadline(0, listener)
    with pytest.raises(ConnectError):
        await events(listener)


async def test_an_end_wakes_a_writer_that_waits(starter: Starter) -> None:
    process, listener = await starter.start("sleep 60", stdin=True)
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


async def test_a_command_whose_descriptors_did_not_all_arrive_is_refused(starter: Starter) -> None:
    order = StartRequest.parse({"process": {"cmd": "true"}, "stdin": True}).order("")
    told: list[Report | None] = []
    starter.processes.line.start(order, [1], told.append)
    await until(lambda: bool(told))
    assert told[0]
    assert told[0].error
    assert told[0].error.code == "resource_exhausted"
    _, listener = await starter.start("true")
    assert (await events(listener))[-1]["end"]["exitCode"] == 0
