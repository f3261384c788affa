"""Agents that end badly: each failure has its name, status code and remedy, and no sandbox is left."""

import base64

import pytest

from local.demo.stage import Stage, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root]


@pytest.mark.parametrize(
    ("prompt", "status", "failed", "code"),
    [
        ("exit 3", 500, "failed", "nonzero_exit"),
        ("crash", 500, "failed", "nonzero_exit"),
        ("memory", 500, "failed", "out_of_memory"),
        ("heap", 500, "failed", "heap_out_of_memory"),
        ("disk", 500, "failed", "disk_full"),
        ("segv", 500, "failed", "killed"),
        ("abort", 500, "failed", "killed"),
        ("unreachable", 500, "failed", "network_unreachable"),
        ("sleep", 504, "timed_out", "timeout"),
        ("stubborn", 504, "timed_out", "timeout"),
    ],
)
def test_a_failed_invocation_is_named_and_tells_what_to_do(
    stage: Stage, misbehaving: str, prompt: str, status: int, failed: str, code: str
) -> None:
    limit = {"timeout_seconds": 2} if failed == "timed_out" else {"timeout_seconds": 24}
    answer = stage.http.post(f"/agents/{misbehaving}/invoke", json={"prompt": prompt} | limit)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (status, failed), body
    assert body["failure"]["code"] == code, body
    assert body["failure"]["message"]
    assert body["failure"]["remedy"]
    assert body["detail"] == {500: "Agent execution failed", 504: "Timeout exceeded"}[status]
    _gone(stage, body["sandbox_id"])


def test_an_exit_code_and_the_end_of_stderr_are_kept(stage: Stage, misbehaving: str) -> None:
    body = stage.invoke(misbehaving, "crash")
    assert body["failure"]["exit_code"] == 1
    assert "nobody caught this" in body["stderr_tail"]
    assert stage.invoke(misbehaving, "exit 3")["failure"]["exit_code"] == 3


def test_an_agent_that_prints_nothing_completes_with_an_empty_answer_and_a_notice(
    stage: Stage, misbehaving: str
) -> None:
    body = stage.invoke(misbehaving, "silent")
    assert (body["status"], body["response_content"]) == ("completed", "")
    assert "stdout" in body["notice"]
    _gone(stage, body["sandbox_id"])


def test_fifty_megabytes_of_output_are_cut_and_said_to_be(stage: Stage, misbehaving: str) -> None:
    body = stage.invoke(misbehaving, "flood")
    assert (body["status"], body["truncated"]) == ("completed", True), body["failure"]
    assert body["response_content"].startswith("all work and no play")
    _gone(stage, body["sandbox_id"])


def test_output_that_is_no_text_comes_whole_in_base64(stage: Stage, misbehaving: str) -> None:
    body = stage.invoke(misbehaving, "binary")
    assert body["response_is_base64"]
    assert base64.b64decode(body["response_content"]) == bytes(range(256))


def test_an_agent_that_leaves_a_child_behind_ends_at_once_and_takes_it_along(
    stage: Stage, misbehaving: str
) -> None:
    body = stage.invoke(misbehaving, "orphan")
    assert body["status"] == "completed"
    _gone(stage, body["sandbox_id"])


def test_forks_without_end_are_refused_at_the_limit(stage: Stage, misbehaving: str) -> None:
    body = stage.invoke(misbehaving, "forks")
    assert body["status"] == "completed", body
    _gone(stage, body["sandbox_id"])


def test_the_host_is_out_of_reach(stage: Stage, misbehaving: str) -> None:
    body = stage.invoke(misbehaving, "host")
    assert body["status"] == "completed", body
    assert "REACHED" not in body["response_content"]


def _gone(stage: Stage, sandbox_id: str) -> None:
    wait_until(lambda: sandbox_id not in stage.sandboxes(), f"sandbox {sandbox_id} to be gone", 30)
