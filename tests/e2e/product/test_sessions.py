"""Sessions on the running stack: files and processes stay, pauses happen by themselves, deletion ends all."""

import time

import pytest

from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import Agents

pytestmark = [pytest.mark.stack, pytest.mark.root]

_AGENT = """
const fs = require("fs"), { spawn } = require("child_process");
const [what, more] = fs.readFileSync(0, "utf8").trim().split(" ");
const answers = {
  count() {
    const before = fs.existsSync("/home/user/count") ? Number(fs.readFileSync("/home/user/count")) : 0;
    fs.writeFileSync("/home/user/count", String(before + 1));
    return before + 1;
  },
  leave() {
    const left = spawn("sleep", ["600"], { stdio: "ignore" });
    left.unref();
    return left.pid;
  },
  alive() {
    return fs.existsSync(`/proc/${more}`);
  },
  spend() {
    const used = { input_tokens: 812, output_tokens: 95, cost_usd: 0.004 };
    fs.appendFileSync(process.env.CASTARI_USAGE_FILE, `${JSON.stringify(used)}\\n`);
    return "spent";
  },
};
process.stdout.write(String(answers[what]()));
"""


@pytest.fixture(scope="module")
def keeper(agents: Agents) -> str:
    """The slug of an agent that counts in a file and leaves a process behind."""
    return agents.deploy_files("keeper", {"index.js": _AGENT})


def _say(stage: Stage, slug: str, prompt: str, **more: object) -> dict[str, object]:
    answer = stage.http.post(f"/agents/{slug}/invoke", json={"prompt": prompt, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def _session(stage: Stage, slug: str, session_id: str) -> dict[str, object] | None:
    listed = stage.http.get(f"/agents/{slug}/sessions").json()
    return next((each for each in listed if each["session_id"] == session_id), None)


def test_files_and_processes_stay_through_a_pause_until_the_session_is_deleted(
    stage: Stage, keeper: str
) -> None:
    first = _say(stage, keeper, "count", session_id="ada")
    pid = _say(stage, keeper, "leave", session_id="ada")["response_content"]
    again = _say(stage, keeper, "count", session_id="ada")
    assert (first["response_content"], again["response_content"]) == ("1", "2")
    assert first["sandbox_id"] == again["sandbox_id"]
    assert _say(stage, keeper, "count")["response_content"] == "1"

    def paused() -> bool:
        session = _session(stage, keeper, "ada")
        return session is not None and session["status"] == "paused"

    wait_until(paused, "the idle session to be paused", 60)
    assert _say(stage, keeper, f"alive {pid}", session_id="ada")["response_content"] == "true"
    assert _say(stage, keeper, "count", session_id="ada")["response_content"] == "3"
    assert stage.http.delete(f"/agents/{keeper}/sessions/ada").status_code == 204
    assert _session(stage, keeper, "ada") is None
    deadline = time.monotonic() + 20
    while (
        answer := stage.http.post(f"/agents/{keeper}/invoke", json={"prompt": "count", "session_id": "ada"})
    ).status_code == 409:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    assert answer.json()["response_content"] == "1"
    assert answer.json()["sandbox_id"] != first["sandbox_id"]


def test_what_an_agent_says_it_used_is_in_its_invocation(stage: Stage, keeper: str) -> None:
    body = _say(stage, keeper, "spend")
    told = (body["input_tokens"], body["output_tokens"], body["total_cost_usd"])
    assert told == (812, 95, 0.004)
    assert isinstance(body["run_ms"], int)
    assert 0 < body["run_ms"] <= stage.http.get(f"/agents/{keeper}/invocations").json()[0]["duration_ms"]
