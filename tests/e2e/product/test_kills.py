"""Processes that are killed with SIGKILL: one terminal row each time, and no sandbox outlives its time."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.calls import proxied
from bench.counting_proxy import Moment
from bench.stack import Stack
from local import environment, processes
from local.demo.stage import Stage, wait_until
from local.places import Places
from local.sandboxes.namespaces.inventory import take_inventory
from tests.e2e.product.agents import Agents
from tests.e2e.product.workers import kill_workers

pytestmark = [pytest.mark.stack, pytest.mark.root]

SLOW = {"index.js": "setTimeout(() => console.log('done'), 1500)"}
KILLS_ITS_RUNNER = {"index.js": "process.kill(process.ppid, 'SIGKILL'); setTimeout(() => {}, 60000)"}
LIMIT_SECONDS = 4
LONGER_SECONDS = 15
"""For an agent that must be heard before its time is over."""
WRITE, START = "TransactWriteItems", "/process.Process/Start"


class Assassin:
    """Kills the workers of the invoke function at one moment of an invocation, once."""

    def __init__(self, call: str, moment: Moment, *, after_start: bool = False) -> None:
        self.call, self.moment, self.after_start = call, moment, after_start
        self.started, self.victims = False, 0
        self.function = ""

    def watch(self, name: str, moment: Moment) -> None:
        """Look at a call; the proxy lets it wait meanwhile."""
        if name.endswith(self.call) and moment == self.moment and self.started >= self.after_start:
            self.kill()
        self.started |= name.endswith(START)

    def kill(self) -> None:
        """Kill, unless that was done; a request of the dead goes no further."""
        if not self.victims:
            self.victims = kill_workers(self.function)
            raise ConnectionAbortedError("its sender was killed")


@pytest.fixture(scope="module")
def slow(agents: Agents) -> str:
    """An agent that answers after a second and a half."""
    return agents.deploy_files("slow", SLOW)


@pytest.mark.parametrize(
    ("assassin", "statuses"),
    [
        (Assassin(WRITE, "come"), set()),
        (Assassin(WRITE, "answered"), {"lost", "timed_out", "failed"}),
        (Assassin(START, "answered"), {"completed"}),
        (Assassin(WRITE, "come", after_start=True), {"completed"}),
    ],
    ids=["before the claim", "after the claim", "after the start", "after the agent's exit"],
)
def test_a_killed_invoke_worker_leaves_one_terminal_row_and_no_sandbox(
    stage: Stage, slow: str, assassin: Assassin, statuses: set[str]
) -> None:
    agent_id = stage.get(f"/agents/{slow}")["id"]
    # Whoever claims a sandbox asks for the next one, and those who were killed here could not.
    stage.invoke(slow, "bring a warm sandbox back")
    wait_until(lambda: stage.sandboxes(agent_id=agent_id, kind="warm"), "a warm sandbox to claim", 60)
    before = {row["invocation_id"] for row in stage.get(f"/agents/{slow}/invocations?limit=100")}
    stack = Stack(stage.environment, stage.http)
    assassin.function = stack.function("Invoke")["FunctionName"]
    with proxied(stack, "Invoke") as (aws, e2b):
        for proxy in (aws, *e2b):
            proxy.watch = assassin.watch
        body = {"prompt": "x", "timeout_seconds": LIMIT_SECONDS}
        answer = stage.http.post(f"/agents/{slow}/invoke", json=body)
    assert assassin.victims
    assert answer.status_code >= 500

    rows = [
        row
        for row in stage.get(f"/agents/{slow}/invocations?limit=100")
        if row["invocation_id"] not in before
    ]
    if not statuses:
        # Nothing was claimed, so there is nothing to end: the caller got no id and may call again.
        assert rows == []
        return
    assert len(rows) == 1
    ended = _swept_until_ended(stage, stack, slow, rows[0]["invocation_id"])
    assert ended["status"] in statuses
    wait_until(lambda: ended["sandbox_id"] not in stage.sandboxes(), "its sandbox to be gone", 60)
    assert stage.get(f"/agents/{slow}/invocations/{ended['invocation_id']}") == ended


def test_an_agent_that_kills_its_runner_ends_as_lost_or_failed_and_loses_its_sandbox(
    stage: Stage, agents: Agents
) -> None:
    slug = agents.deploy_files("patricide", KILLS_ITS_RUNNER)
    answer = stage.http.post(f"/agents/{slug}/invoke", json={"prompt": "x", "timeout_seconds": LIMIT_SECONDS})
    ended = _swept_until_ended(
        stage, Stack(stage.environment, stage.http), slug, answer.json()["invocation_id"]
    )
    assert ended["status"] in {"lost", "failed", "timed_out"}
    assert ended["failure"]["remedy"]
    wait_until(lambda: ended["sandbox_id"] not in stage.sandboxes(), "its sandbox to be gone", 60)


@pytest.fixture
def own_stage(tmp_path: Path) -> Iterator[Stage]:
    """A stack of this test's own, whose sandbox server may die."""
    _stack("up", tmp_path)
    stage = Stage(environment.read(Places(tmp_path).environment) | {"CASTARI_LOCAL": str(tmp_path)})
    try:
        yield stage
    finally:
        stage.http.close()
        _stack("down", tmp_path)


@pytest.mark.timeout(400)
def test_a_killed_sandbox_server_takes_its_sandboxes_along_and_the_row_ends_as_lost(own_stage: Stage) -> None:
    agents = Agents(own_stage)
    slug = agents.deploy_files("forever", {"index.js": "console.log('up'); setTimeout(() => {}, 600000)"})
    accepted = own_stage.http.post(
        f"/agents/{slug}/invocations", json={"prompt": "x", "timeout_seconds": LONGER_SECONDS}
    )
    path = f"/agents/{slug}/invocations/{accepted.json()['invocation_id']}"
    # A row is `running` from the claim on; what started nothing yet would rightly be queued again.
    wait_until(lambda: own_stage.get(f"{path}/output")["content"] == "up\n", "the agent to speak", 60)

    server = processes.find("sandboxes", Places(Path(own_stage.environment["CASTARI_LOCAL"])).pids)
    assert server
    os.kill(server.pid, signal.SIGKILL)

    instance = own_stage.environment["CASTARI_INSTANCE"]
    wait_until(lambda: take_inventory(instance).processes == 0, "every sandboxed process to be gone", 30)
    stack = Stack(own_stage.environment, own_stage.http)
    ended = _swept_until_ended(own_stage, stack, slug, accepted.json()["invocation_id"])
    assert ended["status"] in {"lost", "timed_out"}


def _swept_until_ended(stage: Stage, stack: Stack, slug: str, invocation_id: str) -> dict[str, Any]:
    """Let sweep run as its schedule would, until the invocation has ended."""

    def ended() -> dict[str, Any] | None:
        stack.functions.invoke(FunctionName=stack.function("Sweep")["FunctionName"], Payload=b"{}")
        body: dict[str, Any] = stage.get(f"/agents/{slug}/invocations/{invocation_id}")
        return None if body["status"] in {"queued", "running"} else body

    body: dict[str, Any] = wait_until(ended, f"{invocation_id} to end", LONGER_SECONDS + 60)
    return body


def _stack(command: str, directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local.stack", command, "--directory", directory],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
