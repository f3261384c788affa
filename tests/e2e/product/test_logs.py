"""Logs out of real sandboxes: stderr beyond what a row holds, events, the parts of the time, and usage."""

from datetime import datetime
from typing import Any

import pytest

from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import Agents

pytestmark = [pytest.mark.stack, pytest.mark.root]

TALKER = r"""
const fs = require("node:fs");
const prompt = fs.readFileSync(0, "utf8");
const answer = (id, output, at) => JSON.stringify({
  type: "assistant", timestamp: at.toISOString(), requestId: `req_${id}`,
  message: { id, usage: { input_tokens: 10, cache_read_input_tokens: 5, output_tokens: output } },
}) + "\n";
if (prompt === "chatter") {
  for (let line = 0; line < 20000; line++) fs.writeSync(2, `line ${line}\n`);
  process.exitCode = 3;
} else if (prompt === "spend") {
  fs.writeSync(3, JSON.stringify({ input_tokens: 812, output_tokens: 95, cost_usd: 0.004 }) + "\n");
} else if (prompt === "sdk") {
  const folder = `${process.env.HOME}/.claude/projects/-home-user-agent`;
  fs.mkdirSync(folder, { recursive: true });
  fs.appendFileSync(`${folder}/session.jsonl`, answer("msg_0", 900, new Date(Date.now() - 86400000))
    + answer("msg_1", 1, new Date()) + answer("msg_1", 7, new Date()) + answer("msg_2", 3, new Date()));
} else if (prompt === "sleep") {
  fs.writeSync(2, "before the end\n");
  setTimeout(() => {}, 60000);
}
"""
CHATTER = "".join(f"line {line}\n" for line in range(20000))


@pytest.fixture(scope="module")
def talker(agents: Agents) -> str:
    return agents.deploy_files("talker", {"index.js": TALKER})


def _log(stage: Stage, slug: str, body: dict[str, Any]) -> Any:
    return stage.get(f"/agents/{slug}/invocations/{body['invocation_id']}/logs")


def _output(stage: Stage, slug: str, invocation_id: str) -> str:
    """Read all of stderr, part by part."""
    text, offset, done = "", 0, False
    while not done:
        part = stage.get(f"/agents/{slug}/invocations/{invocation_id}/output?stream=stderr&offset={offset}")
        text, offset, done = text + part["content"], part["next_offset"], part["done"]
    return text


def _is_whole(body: dict[str, Any]) -> bool:
    """Tell whether the parts of an invocation's time make up all of it, to a rounding of each."""
    parts = [body[name] for name in ("queue_ms", "start_ms", "run_ms", "finish_ms")]
    created, finished = (datetime.fromisoformat(body[name]) for name in ("created_at", "finished_at"))
    passed = (finished - created).total_seconds() * 1000
    return all(part >= 0 for part in parts) and abs(sum(parts) - passed) <= len(parts)


def test_a_long_log_is_kept_whole_by_whoever_waits_and_by_whoever_does_not(stage: Stage, talker: str) -> None:
    waited = stage.invoke(talker, "chatter")
    queued = stage.http.post(f"/agents/{talker}/invocations", json={"prompt": "chatter"}).json()
    one = f"/agents/{talker}/invocations/{queued['invocation_id']}"
    wait_until(lambda: stage.get(one)["finished_at"], "the queued invocation to end", 60)
    for body in (waited, stage.get(one)):
        assert (body["status"], body["failure"]["exit_code"]) == ("failed", 3)
        log = _log(stage, talker, body)
        assert log["stderr"] == CHATTER
        assert (log["stderr_bytes"], log["truncated"], log["notice"]) == (len(CHATTER), False, None)
        names = [event["event"] for event in log["events"]]
        assert names == [
            "accepted", "attempt_started", "agent_started", "stdin_closed", "agent_exited", "log_stored",
            "ended",
        ]  # fmt: skip
        assert sorted(log["events"], key=lambda event: str(event["at"])) == log["events"]
        assert "X-Amz" not in str(log)
        assert _output(stage, talker, body["invocation_id"]) == CHATTER
        assert _is_whole(body), body
        assert 0 < body["sandbox_seconds"] <= body["duration_ms"] / 1000


def test_an_agent_that_ran_out_of_time_leaves_its_log(stage: Stage, talker: str) -> None:
    answer = stage.http.post(f"/agents/{talker}/invoke", json={"prompt": "sleep", "timeout_seconds": 3})
    body = answer.json()
    assert (answer.status_code, body["status"]) == (504, "timed_out")
    log = _log(stage, talker, body)
    assert log["stderr"] == "before the end\n"
    assert "limit_reached" in [event["event"] for event in log["events"]]
    assert _is_whole(body), body
    assert 2_500 <= body["run_ms"] <= body["duration_ms"]


@pytest.mark.parametrize(
    ("prompt", "used"), [("spend", (812, 95, 0.004)), ("sdk", (30, 10, 0.0)), ("nothing", (0, 0, 0.0))]
)
def test_what_an_agent_used_is_told_on_descriptor_3_or_by_its_sdk(
    stage: Stage, talker: str, prompt: str, used: tuple[int, int, float]
) -> None:
    body = stage.invoke(talker, prompt)
    assert (body["input_tokens"], body["output_tokens"], body["total_cost_usd"]) == used
    assert body["status"] == "completed"


def test_of_a_session_only_what_this_invocation_spent_counts(stage: Stage, talker: str) -> None:
    for _ in range(2):
        answer = stage.http.post(f"/agents/{talker}/invoke", json={"prompt": "sdk", "session_id": "ada"})
        assert (answer.json()["input_tokens"], answer.json()["output_tokens"]) == (30, 10)


def test_the_command_line_prints_a_log(stage: Stage, talker: str) -> None:
    body = stage.invoke(talker, "chatter")
    shown = stage.cast_ok("logs", talker, body["invocation_id"])
    assert shown == CHATTER.strip()
