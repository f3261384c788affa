"""The line to a sandbox's first process: whatever that says, the server neither fails nor waits."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.envd.control import MalformedReportError, Report, receive_order
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.processes import line as lines
from local.sandboxes.processes.line import Line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["key", "pid", "status", "code", "message", "other"])


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


class Call:
    """A line, what its other end got, and what its orders' listeners were told."""

    def __init__(self) -> None:
        ours, self.inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line = Line(ours)
        self.told: list[Report | None] = []

    def start(self) -> int:
        return self.line.start({"do": "start"}, [], self.told.append)

    async def hear(self, said: bytes) -> None:
        self.inside.send(said)
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    made = Call()
    yield made
    made.line.close()
    made.inside.close()


@given(st.integers(1, 2**40), st.integers(1, 4_000_000), st.integers(0, 255))
def test_reports_read_back(key: int, pid: int, code: int) -> None:
    for report in (Report(key), Report(key, pid=pid), Report(key, status=code << 8), Report(key, status=9)):
        assert Report.load(report.dump()) == report
    told = Report.load(Report(key, error=ConnectError("not_found", "x" * 9000)).dump()).error
    assert told
    assert (told.code, told.message) == ("not_found", "x" * 4096)


@given(st.binary(max_size=60) | st.dictionaries(NAMES, JSON).map(lambda each: json.dumps(each).encode()))
def test_what_is_no_report_is_refused_as_such(said: bytes) -> None:
    try:
        report = Report.load(said)
    except MalformedReportError:
        return
    assert report.key > 0
    if report.status is not None:
        os.waitstatus_to_exitcode(report.status)
        assert not os.WIFSIGNALED(report.status) or signal.strsignal(os.WTERMSIG(report.status))


@pytest.mark.parametrize(
    "said",
    [
        b"no json",
        b"[]",
        b"[" * 60_000,
        b'{"key":true}',
        b'{"key":1,"pid":-1}',
        b'{"key":1,"status":127}',
        b'{"key":1,"status":100}',
        b'{"key":1,"code":"made up","message":"x"}',
        b'{"key":1,"code":"internal","message":1}',
    ],
)
async def test_a_word_that_makes_no_sense_ends_the_line(call: Call, said: bytes) -> None:
    call.start()
    await call.hear(said)
    assert call.told == [None]
    with pytest.raises(ConnectionError):
        call.start()


async def test_reports_about_nothing_are_passed_over(call: Call) -> None:
    key = call.start()
    await call.hear(Report(key + 7, pid=5).dump())
    await call.hear(Report(key, status=0).dump())
    await call.hear(Report(key, status=0).dump())
    assert call.told == [Report(key, status=0)]


async def test_descriptors_that_come_along_are_not_taken(call: Call) -> None:
    key, before = call.start(), open_descriptors()
    socket.send_fds(call.inside, [Report(key, pid=5).dump()], [0, 0, 0])
    for _ in range(3):
        await asyncio.sleep(0)
    assert call.told == [Report(key, pid=5)]
    assert open_descriptors() == before


def start_all(line: Line) -> None:
    for _ in range(100_000):
        line.start({"do": "start"}, [0], lambda _: None)


async def test_one_that_takes_no_orders_holds_nobody_up_and_loses_none(call: Call) -> None:
    before = len(open_descriptors())
    with pytest.raises(ConnectError, match="too many calls wait"):
        start_all(call.line)
    sent = len(call.line._listeners)
    assert sent > lines.MAX_WAITING
    for number in range(1, sent + 1):
        order = await asyncio.to_thread(receive_order, call.inside)
        assert order
        assert order[0]["key"] == number
        os.close(order[1][0])
    assert len(open_descriptors()) == before


async def test_who_does_not_answer_is_not_well(call: Call) -> None:
    assert not await call.line.answers(0.01)
    answering = asyncio.create_task(call.line.answers(60))
    await asyncio.sleep(0)
    for _ in range(2):
        order = receive_order(call.inside)
    assert order
    await call.hear(Report(order[0]["key"]).dump())
    assert await answering
