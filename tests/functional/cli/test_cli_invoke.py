"""`cast invoke`: the answer alone on stdout, everything about a failure on stderr."""

import base64
import json
from pathlib import Path

import pytest

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import failed, invocation

INVOKE = "/agents/hello/invoke"
ONE = "/agents/hello/invocations/inv_1"
ACCEPTED = {"invocation_id": "inv_1", "session_id": "sess_1", "status": "running"}


def test_invoke_prints_the_answer_and_nothing_else_on_stdout(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOKE, Reply(200, invocation()))
    result = cast("invoke", "hello", "Ada")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Hello, Ada!\n"
    (asked,) = platform.requests("POST", INVOKE)
    assert asked.json == {"prompt": "Ada"}


def test_the_answer_is_not_changed_in_a_pipe(cast: Cast, platform: FakePlatform) -> None:
    answer = "no line end, \x1b[1mbold\x1b[0m, ünïcödé\r\n\ttab, \u2028"
    platform.on("POST", INVOKE, Reply(200, invocation(response_content=answer)))
    assert cast("invoke", "hello", "Ada").stdout_bytes == answer.encode()


def test_an_answer_in_base64_is_printed_as_the_bytes_that_it_was(cast: Cast, platform: FakePlatform) -> None:
    content = bytes(range(256))
    encoded = base64.b64encode(content).decode()
    reply = Reply(200, invocation(response_content=encoded, response_is_base64=True))
    platform.on("POST", INVOKE, reply)
    assert cast("invoke", "hello", "Ada").stdout_bytes == content


def test_what_is_odd_about_an_answer_is_said_beside_it(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOKE, Reply(200, invocation(truncated=True, notice="its end is cut off")))
    result = cast("invoke", "hello", "Ada")
    assert (result.exit_code, result.stdout) == (0, "Hello, Ada!\n")
    assert "warning: its end is cut off (inv_1)" in result.stderr


def test_the_prompt_comes_from_stdin_when_none_is_given(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOKE, Reply(200, invocation()))
    assert cast("invoke", "hello", stdin="two\nlines\n").exit_code == 0
    (asked,) = platform.requests("POST", INVOKE)
    assert asked.json == {"prompt": "two\nlines\n"}


def test_the_prompt_comes_from_a_file_with_input(cast: Cast, platform: FakePlatform, tmp_path: Path) -> None:
    platform.on("POST", INVOKE, Reply(200, invocation()))
    (tmp_path / "prompt.txt").write_text("grüße", encoding="utf-8")
    assert cast("invoke", "hello", "-i", str(tmp_path / "prompt.txt")).exit_code == 0
    (asked,) = platform.requests("POST", INVOKE)
    assert asked.json == {"prompt": "grüße"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["hello", "Ada", "-i", "x"], 2, "two prompts"),
        (["hello", "-i", "missing.txt"], 1, "missing.txt cannot be read: No such file"),
        (["hello"], 1, "not UTF-8"),
        (["Hello!", "Ada"], 2, "cannot name an agent"),
        (["../secrets", "Ada"], 2, "cannot name an agent"),
        (["hello", "Ada", "--timeout", "0"], 2, "--timeout"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong_before_anything_is_asked(
    cast: Cast, platform: FakePlatform, arguments: list[str], code: int, message: str
) -> None:
    result = cast("invoke", *arguments, stdin=b"\xff\xfe")
    assert result.exit_code == code
    assert message in result.stderr
    assert platform.asked == []


def test_an_invocation_that_takes_longer_is_asked_for_until_it_ends(
    cast: Cast, platform: FakePlatform
) -> None:
    platform.on("POST", INVOKE, Reply(202, ACCEPTED))
    platform.on("GET", ONE, Reply(200, invocation(status="running")), Reply(200, invocation()))
    result = cast("invoke", "hello", "Ada")
    assert result.exit_code == 0
    assert result.stdout == "Hello, Ada!\n"
    assert "cast invocations get hello inv_1" in result.stderr


FAILURES = [
    (
        500,
        failed("nonzero_exit", "the agent ended with exit code 3", "read its stderr", exit_code=3),
        ["the agent ended with exit code 3 (inv_1, nonzero_exit, exit code 3)", "read its stderr"],
    ),
    (
        504,
        failed("timeout", "it did not end within 120 s", "give it more time", status="timed_out"),
        ["it did not end within 120 s (inv_1, timeout)", "give it more time"],
    ),
    (
        500,
        failed("out_of_memory", "it was killed for memory", "use less", signal="SIGKILL"),
        ["it was killed for memory (inv_1, out_of_memory, signal SIGKILL)"],
    ),
    (
        502,
        failed("sandbox_lost", "the sandbox is gone", status="lost"),
        ["the sandbox is gone (inv_1, sandbox_lost)"],
    ),
]


@pytest.mark.parametrize(("status", "body", "said"), FAILURES)
def test_a_failed_invocation_is_told_with_its_id_its_kind_and_its_remedy(
    cast: Cast, platform: FakePlatform, status: int, body: dict[str, object], said: list[str]
) -> None:
    platform.on("POST", INVOKE, Reply(status, body | {"detail": "Agent execution failed"}))
    result = cast("invoke", "hello", "Ada")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"✗ hello {str(body['status']).replace('_', ' ')}" in result.stderr
    for text in said:
        assert text in result.stderr


def test_the_last_words_of_a_failed_agent_are_shown_without_control_codes(
    cast: Cast, platform: FakePlatform
) -> None:
    words = "Error: lost\n    at \x1b[31mindex.js:1\n"
    platform.on("POST", INVOKE, Reply(500, failed("nonzero_exit", "it failed", stderr_tail=words)))
    said = cast("invoke", "hello", "Ada").stderr
    assert "  | Error: lost\n  |     at \N{REPLACEMENT CHARACTER}[31mindex.js:1\n" in said


def test_json_prints_the_whole_invocation_whether_it_completed_or_not(
    cast: Cast, platform: FakePlatform
) -> None:
    platform.on("POST", INVOKE, Reply(200, invocation()), Reply(500, failed("killed", "it was killed")))
    completed = cast("invoke", "hello", "Ada", "--json")
    assert json.loads(completed.stdout)["sandbox_id"] == "sbx_1"
    broken = cast("invoke", "hello", "Ada", "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["failure"]["code"] == "killed"


def test_detach_prints_the_id_and_does_not_wait(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", "/agents/hello/invocations", Reply(202, ACCEPTED | {"status": "queued"}))
    result = cast("invoke", "hello", "Ada", "--detach")
    assert result.stdout == "inv_1\n"
    assert len(platform.asked) == 1


def test_a_time_limit_goes_along_with_the_prompt(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", INVOKE, Reply(200, invocation()))
    cast("invoke", "hello", "Ada", "--timeout", "600")
    (asked,) = platform.requests("POST", INVOKE)
    assert asked.json == {"prompt": "Ada", "timeout_seconds": 600}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(404, {"detail": "Agent not found"}), ["Agent not found", "cast agents list"]),
        (
            Reply(409, {"detail": "Agent not active", "remedy": "deploy it first"}),
            ["Agent not active", "deploy it first"],
        ),
        (Reply(401, {"detail": "unknown key"}), ["unknown key", "cast login"]),
        (
            Reply(429, {"detail": "too many requests"}, {"Retry-After": "7"}),
            ["too many requests", "try again in 7 s"],
        ),
        (
            Reply(
                422, {"detail": [{"loc": ["body", "prompt"], "msg": "must not be empty", "type": "empty"}]}
            ),
            ["prompt: must not be empty"],
        ),
        (Reply(413, {"detail": "the prompt has 2 MB, at most 1 MB fit"}), ["the prompt has 2 MB"]),
        (Reply(503, {"detail": "no sandbox now"}), ["no sandbox now", "try again"]),
        (Reply(500, b"<html>oops</html>"), ["answered 500 without a reason"]),
        (
            Reply(308, None, {"Location": "https://elsewhere.example"}),
            ["leads on to https://elsewhere.example"],
        ),
        (Reply(200, b"<html>welcome</html>"), ["does not answer like a Castari platform"]),
        (Reply(200, []), ["does not answer like a Castari platform"]),
    ],
)
def test_a_refusal_says_why_and_what_to_do(
    cast: Cast, platform: FakePlatform, reply: Reply, said: list[str]
) -> None:
    platform.on("POST", INVOKE, reply)
    result = cast("invoke", "hello", "Ada")
    assert result.exit_code == 1
    assert result.stdout == ""
    for text in said:
        assert text in result.stderr


def test_a_platform_that_is_not_there_is_an_error_with_a_hint(
    stranger: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 1 of loopback: nothing may listen there without being root, and nothing does.
    monkeypatch.setenv("CASTARI_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CASTARI_API_KEY", "k")
    result = stranger("invoke", "hello", "Ada")
    assert result.exit_code == 1
    assert "cannot reach http://127.0.0.1:1" in result.stderr
    assert "`make up`" in result.stderr
