"""How long an invoke waits: as long as the gateway does, as long as it is told, or not at all."""

import asyncio
import importlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from castari.bootstrap import catalogue, results, tables
from castari.errors import VendorRateLimited, VendorUnavailable
from castari.models import Agent, Invocation
from castari.reports import RunReport
from tests.fakes import FakeSandboxes, ScriptedRunner
from tests.functional.conftest import Account
from tests.gateway import Context, Gateway, Reply

INVOKE = "/agents/poet/invoke"


@pytest.fixture
def endless(sandboxes: FakeSandboxes) -> None:
    """Let agents run until the test ends."""
    assert isinstance(sandboxes.script, ScriptedRunner)
    sandboxes.script.waits = asyncio.Event().wait


def preferring(account: Account, preference: str, **query: object) -> Reply:
    api = Gateway(account.api.key, {"prefer": preference})
    return api.request("POST", INVOKE, {"prompt": "hi"}, **query)


def is_queued(reply: Reply, sandboxes: FakeSandboxes) -> bool:
    location = f"/api/v1/agents/poet/invocations/{reply.json['invocation_id']}"
    assert (reply.status, reply.headers["location"], sandboxes.calls) == (202, location, [])
    return tables.invocations_table().get(reply.json["invocation_id"]).status == "queued"


@pytest.mark.parametrize("preference", ["respond-async", "return=minimal, Respond-Async", "respond-async;x"])
def test_a_preference_for_no_wait_is_met_by_the_queue(
    poet: Account, sandboxes: FakeSandboxes, preference: str
) -> None:
    assert is_queued(preferring(poet, preference), sandboxes)


def test_a_wait_of_nothing_is_met_by_the_queue(poet: Account, sandboxes: FakeSandboxes) -> None:
    assert is_queued(poet.api.request("POST", INVOKE, {"prompt": "hi"}, wait=0), sandboxes)
    assert is_queued(preferring(poet, "wait=20", wait=0), sandboxes)
    assert is_queued(preferring(poet, "wait=0"), sandboxes)


def test_while_the_sandbox_service_is_down_a_wait_is_answered_with_503_and_leaves_a_failure(
    poet: Account, sandboxes: FakeSandboxes
) -> None:
    sandboxes.failures["create"] = [VendorUnavailable("the sandbox service cannot be reached")]
    reply = poet.api.request("POST", INVOKE, {"prompt": "hi"})
    assert (reply.status, reply.json["detail"]) == (503, "the sandbox service cannot be reached")
    (row,) = poet.api.request("GET", "/agents/poet/invocations").json
    assert (row["status"], row["failure"]["code"]) == ("failed", "vendor_unavailable")


def test_a_start_that_came_unheard_is_answered_with_202_at_once(
    poet: Account, sandboxes: FakeSandboxes
) -> None:
    sandboxes.unanswered = 1
    reply = poet.api.request("POST", INVOKE, {"prompt": "hi"})
    assert (reply.status, reply.json["status"], len(sandboxes.alive)) == (202, "running", 1)


@pytest.mark.usefixtures("endless")
def test_a_short_wait_answers_202_while_the_agent_runs_on(poet: Account, sandboxes: FakeSandboxes) -> None:
    reply = poet.api.request("POST", INVOKE, {"prompt": "hi"}, wait=0.05)
    assert (reply.status, reply.json["status"], len(sandboxes.alive)) == (202, "running", 1)


def test_an_answer_within_the_wait_is_a_200(poet: Account) -> None:
    assert poet.api.request("POST", INVOKE, {"prompt": "hi"}, wait=20).status == 200
    assert preferring(poet, "wait=20").status == 200
    assert preferring(poet, "handling=lenient").status == 200


@pytest.mark.parametrize("wait", ["-1", "601", "soon", "nan"])
def test_a_wait_that_nobody_can_keep_names_the_field(poet: Account, wait: str) -> None:
    reply = poet.api.request("POST", INVOKE, {"prompt": "hi"}, wait=wait)
    assert (reply.status, reply.json["detail"][0]["loc"]) == (422, ["query", "wait"])


def test_a_busy_sandbox_service_makes_it_a_202_and_not_an_error(
    poet: Account, sandboxes: FakeSandboxes
) -> None:
    sandboxes.failures["create"] = [VendorRateLimited("no more for now")]
    reply = poet.api.request("POST", INVOKE, {"prompt": "hi"})
    assert (reply.status, reply.json["status"], sandboxes.alive) == (202, "queued", {})


def attended(account: Account, **changes: Any) -> tuple[int, Any]:
    """Return the status and body of a call of the function URL."""
    sample = json.loads((Path(__file__).parents[2] / "events/attend.json").read_text())
    sample["headers"]["authorization"] = f"Bearer {account.api.key}"
    sample |= {"rawPath": "/api/v1/agents/poet/invoke", **changes}
    answered = importlib.import_module("functions.attend.app").handler(sample, Context())
    return answered["statusCode"], json.loads(answered["body"])


def test_the_function_url_answers_when_the_invocation_is_over(poet: Account) -> None:
    status, body = attended(poet)
    assert (status, body["status"]) == (200, "completed")


def test_the_function_url_waits_for_what_had_to_go_by_the_queue(
    poet: Account, sandboxes: FakeSandboxes
) -> None:
    sandboxes.failures["create"] = [VendorRateLimited("no more for now")]
    with ThreadPoolExecutor(1) as pool:
        finishing = pool.submit(_finish_what_is_queued, poet)
        status, body = attended(poet)
        finishing.result()
    assert (status, body["status"], body["response_content"]) == (200, "completed", "late")


def _finish_what_is_queued(account: Account) -> None:
    """Do what the queue's consumer and the agent would."""
    agent, table = catalogue.agents().get(account.user_id, "poet"), tables.invocations_table()
    until = time.monotonic() + 10
    while not (
        found := [each for each in _invocations(agent) if each.attempt == 1 and each.status == "queued"]
    ):
        assert time.monotonic() < until
        time.sleep(0.02)
    running = table.change(found[0], {"status": "running", "attempt": 2})
    report = RunReport(invocation_id=running.invocation_id, attempt=2, exit_code=0, stdout="late")
    results.finishes().by_report(running, report)


def _invocations(agent: Agent) -> list[Invocation]:
    return tables.invocations_table().list_for_agent(agent.agent_id, limit=10, offset=0)


def test_the_function_url_waits_no_longer_than_it_is_told(poet: Account, sandboxes: FakeSandboxes) -> None:
    status, body = attended(poet, queryStringParameters={"wait": "0"})
    assert (status, body["status"], sandboxes.calls) == (202, "queued", [])


@pytest.mark.usefixtures("endless")
def test_the_function_url_lets_go_of_an_agent_that_is_not_waited_for(poet: Account) -> None:
    status, body = attended(poet, queryStringParameters={"wait": "0.2"})
    assert (status, body["status"]) == (202, "running")


@pytest.mark.parametrize("path", ["/api/v1/agents/poet", "/", "/api/v1/agents/a/b/invoke", "/api/v1/agents"])
def test_the_function_url_knows_nothing_else_and_says_where_that_is(poet: Account, path: str) -> None:
    status, body = attended(poet, rawPath=path)
    assert (status, body["detail"]) == (404, "Not found")
    assert "API's own address" in body["remedy"]


def test_the_function_url_wants_a_key(poet: Account) -> None:
    assert attended(poet, headers={})[0] == 401
