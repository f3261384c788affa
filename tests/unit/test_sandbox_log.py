"""The sandbox server's log: every line is written, also the last ones, and warnings at once."""

import json
import signal
import subprocess
import sys

import pytest

SERVER = """
import asyncio, logging
from local.sandboxes.server import log
log.event("too early")
log.configure()
log.event("outside", size_bytes=3)
async def serve():
    for number in range(3):
        log.event("inside", number=number)
    {end}
asyncio.run(serve())
"""


def lines(end: str) -> list[dict[str, object]]:
    """What a server logged that ended so."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER.replace("{end}", end)], capture_output=True, text=True, check=False
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


ALL = ["outside", "inside", "inside", "inside"]


@pytest.mark.parametrize(
    ("end", "more"),
    [
        ("pass", []),
        ("logging.getLogger('any').warning('loud'); import os; os._exit(1)", ["loud"]),
        ("log.failure('failed', ValueError('why')); import os; os._exit(1)", ["failed"]),
    ],
)
def test_no_line_is_lost_before_a_warning_or_an_end(end: str, more: list[str]) -> None:
    told = lines(end)
    assert [line["event"] for line in told] == ALL + more
    assert [line.get("number") for line in told[1:4]] == [0, 1, 2]
    assert told[0]["size_bytes"] == 3


def test_lines_are_written_while_the_server_runs() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER.replace("{end}", "await asyncio.sleep(1000)")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr
    assert [json.loads(server.stderr.readline())["event"] for _ in ALL] == ALL
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stderr.close()


def test_an_error_is_told_with_its_traceback() -> None:
    told = lines("log.failure('failed', ValueError('why'))")
    assert told[-1]["level"] == "error"
    assert "ValueError: why" in str(told[-1]["exception"])
