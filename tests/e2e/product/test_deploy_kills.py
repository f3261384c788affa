"""A deploy's worker is killed with SIGKILL at each step: another ends the deploy, and no sandbox is left.

Takes one to two minutes, most of them for sweep to look twice: `make kills` runs it, the test suite does not.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.agents import HELLO, pack
from bench.calls import proxied
from bench.counting_proxy import Moment
from bench.stack import Stack
from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import DEPLOY_SECONDS, Agents
from tests.e2e.product.workers import kill_workers

pytestmark = [
    pytest.mark.stack,
    pytest.mark.root,
    pytest.mark.skipif("DEPLOY_KILLS" not in os.environ, reason="takes minutes: `make kills` runs it"),
]
CREATE, RUN, SNAPSHOT, WRITE = "/v2/sandboxes", "/process.Process/Start", "/snapshots", ".UpdateItem"
STRAY_SECONDS = 180
"""Sweep looks twice, and not at what is younger than half a minute."""
STEPS: dict[str, tuple[str, int, Moment]] = {
    # First, for sweep needs its time to tell that this one is nobody's.
    "with a warm sandbox that nobody knows": (CREATE, 2, "answered"),
    "before the build sandbox": (CREATE, 1, "come"),
    "with a build sandbox in which nothing runs": (CREATE, 1, "answered"),
    "in fetch, unpack and install": (RUN, 1, "answered"),
    "before the snapshot of the dependencies": (SNAPSHOT, 1, "come"),
    "with a snapshot that no row knows": (SNAPSHOT, 1, "answered"),
    "with the dependencies' snapshot written down": (WRITE, 2, "answered"),
    "in bundle": (RUN, 2, "answered"),
    "with the last snapshot unknown": (SNAPSHOT, 2, "answered"),
    "before the warm sandbox": (CREATE, 2, "come"),
    "before the switch": (WRITE, 4, "come"),
    "after the switch": (WRITE, 4, "answered"),
}


class Assassin:
    """Kills the workers of the deploy function at the nth call of a kind, once."""

    def __init__(self, function: str, call: str, nth: int, moment: Moment) -> None:
        self.function, self.call, self.nth, self.moment = function, call, nth, moment
        self.seen, self.victims = 0, 0

    def watch(self, name: str, moment: Moment) -> None:
        """Look at a call; the proxy lets it wait meanwhile, and what the dead asked for goes no further."""
        if not name.endswith(self.call):
            return
        self.seen += moment == "come"
        if (self.seen, moment) == (self.nth, self.moment) and not self.victims:
            self.victims = kill_workers(self.function)
            raise ConnectionAbortedError("its sender was killed")


@pytest.mark.timeout(540)
def test_a_deploy_worker_killed_at_any_step_is_followed_by_one_that_ends_the_deploy(
    stage: Stage, agents: Agents, tell: Callable[[str], None]
) -> None:
    stack = Stack(stage.environment, stage.http)
    function = stack.function("Deploy")["FunctionName"]
    ends: dict[str, str] = {}
    with proxied(stack, "Deploy") as (aws, e2b):
        for step, kill in STEPS.items():
            assassin = Assassin(function, *kill)
            for proxy in (aws, *e2b):
                proxy.watch = assassin.watch
            slug = agents.create("killed")
            agents.post_bundle(slug, pack(HELLO, step)).raise_for_status()
            wait_until(lambda: assassin.victims, f"a worker to be killed {step}", DEPLOY_SECONDS)  # noqa: B023
            ends[slug] = _followed_up(stack, stage.get(f"/agents/{slug}")["id"], slug)
            assert ends[slug] == "ready", step
            assert stage.invoke(slug, "x")["response_content"] == "Hello, x!\n", step
    tell(f"killed at {len(ends)} steps, all of which ended well")
    for slug in ends:
        _check_sandboxes(stage, stack, slug)


def _followed_up(stack: Stack, agent_id: str, slug: str) -> str:
    """Let the lease end and the deploy be looked after, as happens by itself later; return how it ended."""

    def row_of() -> dict[str, Any]:
        found = stack.table("VERSIONS").query(
            KeyConditionExpression="agent_id = :id", ExpressionAttributeValues={":id": agent_id}
        )
        return dict(found["Items"][0])

    row = row_of()
    key = {name: row[name] for name in ("agent_id", "version_id")}
    if row["status"] == "building":
        stack.table("VERSIONS").update_item(
            Key=key,
            UpdateExpression="SET lease_expires_at = :past",
            ExpressionAttributeValues={":past": row["created_at"]},
        )
    request = {name: row[name] for name in ("bundle_key", "request_id", "requested_at")}
    check = {
        "kind": "check_deploy",
        "agent_id": row["agent_id"],
        "request": request | {"agent": {"user_id": row["user_id"], "slug": slug}},
    }
    queue = stack.session.client("sqs", endpoint_url=stack.env["AWS_ENDPOINT_URL"])
    queue.send_message(QueueUrl=stack.names["MAINTENANCE_QUEUE_URL"], MessageBody=json.dumps(check))

    def ended() -> dict[str, Any] | None:
        now = row_of()
        return None if now["status"] == "building" else now

    last = wait_until(ended, f"the deploy of {slug} to end", DEPLOY_SECONDS)
    assert datetime.now(UTC) < datetime.fromisoformat(last["deadline_at"])
    return str(last["status"])


def _check_sandboxes(stage: Stage, stack: Stack, slug: str) -> None:
    """Hold that every sandbox of an agent is on offer; what nobody knows of is found by sweep."""
    agent_id = stage.get(f"/agents/{slug}")["id"]
    assert not stage.sandboxes(agent_id=agent_id, kind="build")
    sweep = stack.function("Sweep")["FunctionName"]

    def no_stray() -> bool:
        stack.functions.invoke(FunctionName=sweep, Payload=b"{}")
        offered = {row["sandbox_id"] for row in stack.table("WARM").scan()["Items"]}
        return set(stage.sandboxes(agent_id=agent_id)) <= offered

    wait_until(no_stray, f"each sandbox of {slug} to be on offer or gone", STRAY_SECONDS)
