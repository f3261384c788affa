"""A deleted agent takes all that it had along: warm sandbox, session, secrets, bundles and history."""

import pytest

from bench.stack import Stack
from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import Agents

pytestmark = [pytest.mark.stack, pytest.mark.root, pytest.mark.timeout(300)]
ECHO = {"index.js": "process.stdin.pipe(process.stdout);"}


def test_nothing_is_left_of_a_deleted_agent(stage: Stage, agents: Agents) -> None:
    stack = Stack(stage.environment, stage.http)
    slug = agents.deploy_files("echo", ECHO)
    agent_id = stage.get(f"/agents/{slug}")["id"]
    secret = {"key": "TOKEN", "value": "not for long"}
    stage.http.post(f"/agents/{slug}/secrets", json=secret).raise_for_status()
    body = {"prompt": "hi", "session_id": "chat"}
    stage.http.post(f"/agents/{slug}/invoke", json=body).raise_for_status()
    wait_until(lambda: all(_left(stack, stage, agent_id).values()), "a warm sandbox beside the session's", 60)

    stage.http.delete(f"/agents/{slug}").raise_for_status()
    wait_until(lambda: not any(_left(stack, stage, agent_id).values()), "all of it to be gone", 60)
    assert not any(_left(stack, stage, agent_id).values())
    assert agent_id not in {each["agent_id"] for each in stage.get("/deletions")}


def _left(stack: Stack, stage: Stage, agent_id: str) -> dict[str, list[str]]:
    """Return what there is of an agent, by what holds it."""
    tables = ("VERSIONS", "INVOCATIONS", "WARM", "SESSIONS")
    left = {name: _rows(stack, name, agent_id) for name in tables}
    return left | {"sandboxes": stage.sandboxes(agent_id=agent_id)}


def _rows(stack: Stack, table: str, agent_id: str) -> list[str]:
    held = stack.table(table)
    pages = held.meta.client.get_paginator("scan").paginate(TableName=held.name, ConsistentRead=True)
    return [str(row) for page in pages for row in page["Items"] if str(row.get("agent_id")) == agent_id]
