"""`cast invoke --follow` and `--wait`, `cast invocations output` and `cancel`."""

import base64
import json
from urllib.parse import parse_qs

import pytest

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import failed, invocation, part

INVOKE, INVOCATIONS = "/agents/hello/invoke", "/agents/hello/invocations"
ONE = f"{INVOCATIONS}/inv_1"
OUTPUT = f"{ONE}/output"
QUEUED = Reply(202, {"invocation_id": "inv_1", "session_id": "sess_1", "status": "queued"})


def asked(platform: FakePlatform, path: str) -> list[dict[str, list[str]]]:
    """Return the queries with which a path was asked for."""
    parts = [one.path.partition("?") for one in platform.asked if one.method == "GET"]
    return [parse_qs(query) for found, _, query in parts if found == path]


def test_follow_prints_part_after_part_and_nothing_twice(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOCATIONS, QUEUED)
    running = part("Hello, ", status="running", done=False)
    silent = part("", offset=7, status="running", done=False)
    platform.on("GET", OUTPUT, Reply(200, running), Reply(200, silent), Reply(200, part("Ada!\n", offset=7)))
    platform.on("GET", ONE, Reply(200, invocation()))
    result = cast("invoke", "hello", "Ada", "--follow")
    assert (result.exit_code, result.stdout) == (0, "Hello, Ada!\n")
    assert [query["offset"] for query in asked(platform, OUTPUT)] == [["0"], ["7"], ["7"]]
    assert "following inv_1" in result.stderr


def test_follow_of_an_agent_that_fails_says_why(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOCATIONS, QUEUED)
    platform.on("GET", OUTPUT, Reply(200, part("half an ans", status="failed")))
    platform.on("GET", ONE, Reply(200, failed("nonzero_exit", "it failed", "mend it")))
    result = cast("invoke", "hello", "Ada", "-f")
    assert (result.exit_code, result.stdout) == (1, "half an ans")
    assert "it failed (inv_1, nonzero_exit)" in result.stderr


@pytest.mark.parametrize("other", [["--json"], ["--async"], ["--wait", "3"]])
def test_follow_goes_with_nothing_that_contradicts_it(
    cast: Cast, platform: FakePlatform, other: list[str]
) -> None:
    assert cast("invoke", "hello", "Ada", "--follow", *other).exit_code == 2
    assert platform.asked == []


def test_async_is_another_word_for_detach(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOCATIONS, QUEUED)
    assert cast("invoke", "hello", "Ada", "--async").stdout == "inv_1\n"
    shown = cast("invoke", "hello", "Ada", "--async", "--json").stdout
    assert json.loads(shown)["status"] == "queued"


def test_a_wait_ends_without_the_agent(cast: Cast, platform: FakePlatform) -> None:
    running = {"invocation_id": "inv_1", "session_id": "sess_1", "status": "running"}
    platform.on("POST", f"{INVOKE}", Reply(202, running))
    platform.on("GET", ONE, Reply(200, invocation(status="running", response_content=None)))
    result = cast("invoke", "hello", "Ada", "--wait", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "inv_1 is still running" in result.stderr
    assert platform.asked[0].path == f"{INVOKE}?wait=1"


def test_waiting_is_done_by_the_platform(cast: Cast, platform: FakePlatform) -> None:
    running = {"invocation_id": "inv_1", "session_id": "sess_1", "status": "running"}
    platform.on("POST", INVOKE, Reply(202, running))
    platform.on("GET", ONE, Reply(200, invocation()))
    assert cast("invoke", "hello", "Ada").stdout == "Hello, Ada!\n"
    assert asked(platform, ONE) == [{"wait": ["20.0"]}]


def test_output_prints_what_there_is_now(cast: Cast, platform: FakePlatform) -> None:
    binary = base64.b64encode(b"\xff\x00").decode()
    first = part(binary, is_base64=True, next_offset=2, status="running", done=False)
    none = part("", offset=2, status="running", done=False)
    platform.on("GET", OUTPUT, Reply(200, first), Reply(200, none))
    assert cast("invocations", "output", "hello", "inv_1").stdout_bytes == b"\xff\x00"
    assert asked(platform, OUTPUT)[0] == {"stream": ["stdout"], "offset": ["0"], "wait": ["0"]}


def test_output_follows_the_log_from_a_byte_on(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", OUTPUT, Reply(200, part("log\n", offset=5)))
    shown = cast("invocations", "output", "hello", "inv_1", "--stderr", "--follow", "--offset", "5")
    assert shown.stdout == "log\n"
    assert asked(platform, OUTPUT) == [{"stream": ["stderr"], "offset": ["5"], "wait": ["15"]}]


def test_output_for_scripts_is_one_part(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", OUTPUT, Reply(200, part("hi", status="running", done=False)))
    shown = json.loads(cast("invocations", "output", "hello", "inv_1", "--json").stdout)
    assert (shown["content"], shown["next_offset"], shown["done"]) == ("hi", 2, False)
    assert cast("invocations", "output", "hello", "inv_1", "--json", "-f").exit_code == 2


def test_cancel_says_what_became_of_it(cast: Cast, platform: FakePlatform) -> None:
    gone = failed("cancelled", "it was cancelled before it ended", status="cancelled")
    platform.on("DELETE", ONE, Reply(200, gone), Reply(200, invocation()))
    cancelled = cast("invocations", "cancel", "hello", "inv_1")
    assert (cancelled.exit_code, cancelled.stdout) == (0, "")
    assert "inv_1 is cancelled" in cancelled.stderr
    assert "inv_1 had ended already: completed" in cast("invocations", "cancel", "hello", "inv_1").stderr
    shown = cast("invocations", "cancel", "hello", "inv_1", "--json").stdout
    assert json.loads(shown)["status"] == "completed"


def test_get_waits_where_it_is_told_to(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", ONE, Reply(200, invocation()))
    assert cast("invocations", "get", "hello", "inv_1", "--wait", "20").stdout == "Hello, Ada!\n"
    assert asked(platform, ONE) == [{"wait": ["20"]}]
