"""Queued invocations while AWS and the sandbox service fail at each tenth call: one result each, no orphans.

`make faults` queues 500; the test suite fewer.
"""

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bench.stack import Stack
from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import Agents
from tests.faults.conftest import Faults

pytestmark = [pytest.mark.stack, pytest.mark.root, pytest.mark.timeout(1_200)]

COUNT = int(os.environ.get("FAULTS_COUNT", "20"))
SHARE = 0.1
LIMIT_SECONDS = 5
ECHO = {
    "index.js": "let s = ''; process.stdin.on('data', (c) => (s += c));"
    " process.stdin.on('end', () => setTimeout(() => console.log('heard ' + s), 200));"
}
NAMED = {
    "completed": None,
    "lost": "sandbox_lost",
    "failed": "vendor_unavailable",
}
_CLIENTS = 8
_ROUND_SECONDS = 2
_MOST_TRIES = 60


def test_every_invocation_ends_in_one_result_and_no_sandbox_is_left(
    stage: Stage, stack: Stack, agents: Agents, faults: Faults, tell: Callable[[str], None]
) -> None:
    slug = agents.deploy_files("echo", ECHO)
    agent_id = stage.get(f"/agents/{slug}")["id"]
    wait_until(lambda: not _open(stack), "what others left open to end", 240)
    used_before = stage.get("/usage")["total_invocations"]
    faults.set_share(SHARE)
    prompts = [f"prompt {number}" for number in range(COUNT)]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        ids = list(pool.map(lambda prompt: _queue(stage, slug, prompt), prompts))
    assert len(set(ids)) == COUNT, "two requests led to the same invocation"
    _until_all_ended(stack, agent_id, COUNT)
    counts = faults.count()
    faults.set_share(0)

    rows = {name: stage.get(f"/agents/{slug}/invocations/{name}") for name in ids}
    assert len(_rows(stack, agent_id)) == COUNT, "a request made more than one invocation"
    assert stage.get("/usage")["total_invocations"] - used_before == COUNT
    for prompt, name in zip(prompts, ids, strict=True):
        _check(rows[name], prompt)
    _check_lost(stack, [row for row in rows.values() if row["status"] == "lost"], faults)
    _check_completed(list(rows.values()), faults)
    wait_until(lambda: not _orphans(stage, stack, agent_id), "every used sandbox to be gone", 150)
    left = _orphans(stage, stack, agent_id)
    statuses = Counter(row["status"] for row in rows.values())
    attempts = Counter(int(row["attempt"]) for row in _rows(stack, agent_id))
    tell(f"{COUNT} queued: {dict(statuses)}; attempts: {dict(sorted(attempts.items()))}")
    for status in sorted(statuses):
        ended_so = [row for row in rows.values() if row["status"] == status]
        tell(f"{status}, by what was done to starts in their sandbox: {_causes(ended_so, faults)}")
    tell(f"went wrong: {counts}; orphans: {len(left)}")


def _queue(stage: Stage, slug: str, prompt: str) -> str:
    """Ask until it is accepted, as a good client does: with the same key each time."""
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"prompt": prompt, "timeout_seconds": LIMIT_SECONDS}
    for _ in range(_MOST_TRIES):
        try:
            answer = stage.http.post(f"/agents/{slug}/invocations", json=body, headers=headers)
        except httpx.TransportError:
            continue
        if answer.status_code == 202:
            return str(answer.json()["invocation_id"])
        assert answer.status_code >= 500, answer.text
    raise AssertionError(f"not accepted in {_MOST_TRIES} tries: {answer.text}")


def _rows(stack: Stack, agent_id: str) -> list[dict[str, Any]]:
    query: Any = {
        "IndexName": "by_agent",
        "KeyConditionExpression": "agent_id = :id",
        "ExpressionAttributeValues": {":id": agent_id},
    }
    found: list[dict[str, Any]] = []
    while True:
        page = stack.table("INVOCATIONS").query(**query)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _open(stack: Stack) -> int:
    """Return how many invocations are open, whoever's they are, after a round of sweep."""
    _sweep(stack)
    return stack.table("INVOCATIONS").query(
        IndexName="open_by_deadline",
        KeyConditionExpression="#open = :open",
        ExpressionAttributeNames={"#open": "open"},
        ExpressionAttributeValues={":open": "open"},
    )["Count"]


def _sweep(stack: Stack) -> None:
    time.sleep(_ROUND_SECONDS)
    stack.functions.invoke(FunctionName=stack.function("Sweep")["FunctionName"], Payload=b"{}")


def _until_all_ended(stack: Stack, agent_id: str, count: int) -> None:
    def ended() -> bool:
        _sweep(stack)
        rows = _rows(stack, agent_id)
        return len(rows) >= count and not any("open" in row for row in rows)

    # A message that failed and could not be released is hidden for six minutes; sweep acts after five.
    wait_until(ended, f"{count} invocations to end", 480 + 2 * COUNT)


def _check(row: dict[str, Any], prompt: str) -> None:
    assert row["status"] in NAMED, row
    if row["status"] == "completed":
        assert row["response_content"] == f"heard {prompt}\n", row
        assert row["failure"] is None
        return
    assert row["failure"]["code"] == NAMED[row["status"]], row
    assert row["failure"]["remedy"]


def _check_lost(stack: Stack, lost: list[dict[str, Any]], faults: Faults) -> None:
    """Nothing that handed in its result is called lost; and what is lost, its sandbox was taken from.

    A start that was only refused, dropped or not answered is no reason: the sandbox is asked whether its
    agent has begun. That may be answered so badly, time after time, that it cannot be known: rarely.
    """
    s3 = stack.session.client("s3", endpoint_url=stack.env["AWS_ENDPOINT_URL"])
    for row in lost:
        prefix = f"results/{row['invocation_id']}/"
        stored = s3.list_objects_v2(Bucket=stack.env["CASTARI_RESULT_BUCKET"], Prefix=prefix)
        assert not stored.get("Contents"), row
    unexplained = [row for row in lost if "vanished" not in faults.harmed.get(row["sandbox_id"], ())]
    # Or a worker of which AWS hid its own writes gave up between the claim and the start.
    assert len(unexplained) <= max(2, COUNT // 50), unexplained


def _check_completed(rows: list[dict[str, Any]], faults: Faults) -> None:
    """What nobody took the sandbox from has completed, whatever else went wrong on its way."""
    spared = [row for row in rows if "vanished" not in faults.harmed.get(row["sandbox_id"] or "", ())]
    completed = [row for row in spared if row["status"] == "completed"]
    assert len(completed) >= len(spared) - max(2, COUNT // 50), [
        row for row in spared if row not in completed
    ]


def _causes(rows: Iterable[dict[str, Any]], faults: Faults) -> dict[str, int]:
    """Count what was done to starts in the sandboxes of these invocations."""
    return dict(Counter("+".join(faults.harmed.get(row["sandbox_id"] or "", ["nothing"])) for row in rows))


def _orphans(stage: Stage, stack: Stack, agent_id: str) -> set[str]:
    """Return the agent's sandboxes that are not on offer as warm ones, after a round of sweep."""
    _sweep(stack)
    alive = set(stage.sandboxes(agent_id=agent_id))
    return alive - {str(row["sandbox_id"]) for row in stack.table("WARM").scan()["Items"]}
