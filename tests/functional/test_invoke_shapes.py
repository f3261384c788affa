"""How long an invoke waits: as long as the gateway does, as long as it is told, or not at all."""

import asyncio

import pytest

from castari import bootstrap
from castari.errors import VendorRateLimited
from tests.fakes import FakeSandboxes, ScriptedRunner
from tests.functional.conftest import Account
from tests.gateway import Gateway, Reply

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
    return bootstrap.invocations_table().get(reply.json["invocation_id"]).status == "queued"


@pytest.mark.parametrize("preference", ["respond-async", "return=minimal, Respond-Async", "respond-async;x"])
def test_a_preference_for_no_wait_is_met_by_the_queue(
    poet: Account, sandboxes: FakeSandboxes, preference: str
) -> None:
    assert is_queued(preferring(poet, preference), sandboxes)


def test_a_wait_of_nothing_is_met_by_the_queue(poet: Account, sandboxes: FakeSandboxes) -> None:
    assert is_queued(poet.api.request("POST", INVOKE, {"prompt": "hi"}, wait=0), sandboxes)
    assert is_queued(preferring(poet, "wait=20", wait=0), sandboxes)
    assert is_queued(preferring(poet, "wait=0"), sandboxes)


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
