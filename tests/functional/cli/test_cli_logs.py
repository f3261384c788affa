"""`cast logs`: stderr to stdout, what happened to stderr, and the rest for scripts."""

import json

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import log, part

ONE = "/agents/hello/invocations/inv_1"
TOLD = "2026-01-02 03:04:05.000Z  accepted\n2026-01-02 03:04:05.678Z  agent exited  exit code 3\n"


def test_a_log_goes_to_stdout_and_what_happened_to_stderr(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", f"{ONE}/output", Reply(200, part("one", done=False)), Reply(200, part(" two", 3)))
    platform.on("GET", f"{ONE}/logs", Reply(200, log()))
    result = cast("logs", "hello", "inv_1")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "one two", TOLD)
    assert [asked.path for asked in platform.asked] == [
        f"{ONE}/output?stream=stderr&offset=0&wait=0",
        f"{ONE}/output?stream=stderr&offset=3&wait=0",
        f"{ONE}/logs",
    ]


def test_a_log_is_followed_to_the_end(cast: Cast, platform: FakePlatform) -> None:
    parts = (part("one", done=False, status="running"), part(" two", 3))
    platform.on("GET", f"{ONE}/output", *(Reply(200, each) for each in parts))
    platform.on("GET", f"{ONE}/logs", Reply(200, log()))
    result = cast("logs", "hello", "inv_1", "-f")
    assert (result.stdout, result.stderr) == ("one two", TOLD)


def test_what_is_missing_is_said(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", f"{ONE}/output", Reply(200, part("")))
    platform.on("GET", f"{ONE}/logs", Reply(200, log(events=[], notice="nothing was started")))
    result = cast("logs", "hello", "inv_1")
    assert (result.stdout, result.stderr) == ("", "nothing was started\n")


def test_a_log_for_scripts_is_the_platforms_answer(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", f"{ONE}/logs", Reply(200, log()))
    assert json.loads(cast("logs", "hello", "inv_1", "--json").stdout) == log()
    refused = cast("logs", "hello", "inv_1", "--json", "-f")
    assert refused.exit_code == 2
    assert "--follow goes on" in refused.stderr


def test_a_log_that_is_not_there_is_an_error(cast: Cast) -> None:
    result = cast("logs", "hello", "inv_1")
    assert (result.exit_code, result.stdout) == (1, "")
