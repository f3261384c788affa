"""The functions' handlers, fed with the sample events, over a local AWS and a sandbox service in memory."""

import importlib
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from castari.bootstrap import stores
from castari.errors import SandboxLost, SandboxMissing, VendorUnavailable
from castari.triggers import deploys_of, stored_keys
from tests.fakes import FakeSandboxes, ScriptedRunner
from tests.functional.conftest import Account
from tests.gateway import Context
from tests.unit.bundles import tar_gz

EVENTS = Path(__file__).parents[2] / "events"


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return deepcopy(found)


def handle(function: str, body: dict[str, Any]) -> Any:
    return importlib.import_module(f"functions.{function}.app").handler(body, Context())


def queued(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a sample message with another body."""
    made = event(name)
    made["Records"][0]["body"] = json.dumps(body)
    return made


def test_an_invoke_answers_200_with_the_public_shape(poet: Account, sandboxes: FakeSandboxes) -> None:
    reply = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"})
    assert reply.status == 200
    assert reply.json["status"] == "completed"
    assert reply.json["response_content"].startswith("you said")
    assert reply.headers["x-ratelimit-limit"] == "10000"
    assert not sandboxes.alive


@pytest.mark.parametrize(
    ("report", "status", "detail", "code"),
    [
        ({"exit_code": 3, "stderr": "oops"}, 500, "Agent execution failed", "nonzero_exit"),
        ({"timed_out": True, "signal": 9}, 504, "Timeout exceeded", "timeout"),
        ({"signal": 9, "oom_kills": 1}, 500, "Agent execution failed", "out_of_memory"),
        ({"stdout": 5}, 502, "Sandbox lost", "sandbox_lost"),
    ],
)
def test_an_invoke_that_fails_says_how_in_status_and_words(
    poet: Account, sandboxes: FakeSandboxes, report: dict[str, Any], status: int, detail: str, code: str
) -> None:
    runner = sandboxes.script
    assert isinstance(runner, ScriptedRunner)
    runner.answer = lambda _: report
    reply = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"})
    assert (reply.status, reply.json["detail"], reply.json["failure"]["code"]) == (status, detail, code)
    assert reply.json["remedy"] == reply.json["failure"]["remedy"]
    assert not sandboxes.alive


def test_an_invoke_for_which_the_gateway_has_no_time_left_goes_by_the_queue(
    poet: Account, sandboxes: FakeSandboxes
) -> None:
    sample = event("invoke")
    sample["headers"]["authorization"] = f"Bearer {poet.api.key}"
    sample["pathParameters"]["slug"] = "poet"
    reply = handle("invoke", sample)
    body = json.loads(reply["body"])
    assert (reply["statusCode"], body["status"]) == (202, "queued")
    assert reply["headers"]["Location"] == f"/api/v1/agents/poet/invocations/{body['invocation_id']}"
    assert sandboxes.calls == []


@pytest.mark.parametrize(
    ("body", "field"),
    [({"prompt": ""}, "prompt"), ({}, "prompt"), ({"prompt": "x", "timeout_seconds": 0}, "timeout_seconds")],
)
def test_a_bad_invoke_names_the_field(poet: Account, body: dict[str, Any], field: str) -> None:
    reply = poet.api.request("POST", "/agents/poet/invoke", body)
    assert (reply.status, reply.json["detail"][0]["loc"]) == (422, ["body", field])


def test_an_invoke_of_nothing_of_mine_is_404(poet: Account) -> None:
    reply = poet.api.request("POST", "/agents/other/invoke", {"prompt": "hi"})
    assert (reply.status, reply.json["detail"]) == (404, "Agent not found")


def test_a_busy_sandbox_service_is_503_with_a_time_to_retry(poet: Account, sandboxes: FakeSandboxes) -> None:
    sandboxes.failures["create"] = [VendorUnavailable("the sandbox service is busy")]
    reply = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"})
    assert (reply.status, reply.json["detail"]) == (503, "the sandbox service is busy")
    assert int(reply.headers["retry-after"]) > 0


def test_a_sandbox_that_vanishes_at_the_start_is_502(poet: Account, sandboxes: FakeSandboxes) -> None:
    sandboxes.failures["start"] = [SandboxLost("no answer"), SandboxMissing("gone")]
    assert poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"}).status == 502


def test_a_queued_prompt_is_started_and_its_result_completes_it(
    poet: Account, sandboxes: FakeSandboxes
) -> None:
    submitted = poet.api.request("POST", "/agents/poet/invocations", {"prompt": "hi"}).json
    message = queued("start", {"invocation_id": submitted["invocation_id"]})
    assert handle("start", message) == {"batchItemFailures": []}
    assert handle("start", message) == {"batchItemFailures": []}
    (sandbox,) = sandboxes.alive.values()
    runner = sandboxes.script
    assert isinstance(runner, ScriptedRunner)
    runner.store(runner.report(sandbox.commands[0][1]))
    stored = event("complete")
    stored["Records"][0]["s3"]["object"]["key"] = f"results/{submitted['invocation_id']}/1/result.json"
    for _ in range(2):
        handle("complete", stored)
    seen = poet.api.request("GET", f"/agents/poet/invocations/{submitted['invocation_id']}").json
    assert (seen["status"], seen["response_content"][:8]) == ("completed", "you said")


def test_a_result_of_nobody_is_passed_over(sandboxes: FakeSandboxes) -> None:
    handle("complete", event("complete"))
    assert sandboxes.calls == []


def test_a_stored_bundle_is_deployed(poet: Account, sandboxes: FakeSandboxes) -> None:
    key = f"bundles/{poet.user_id}/poet/release 1+2.tar.gz"
    stores.bundle_bucket().put(key, tar_gz(), content_type="application/gzip")
    body = json.loads(event("deploy_bundle_stored")["Records"][0]["body"])
    body["Records"][0]["s3"]["object"]["key"] = key.replace("+", "%2B").replace(" ", "+")
    assert handle("deploy", queued("deploy_bundle_stored", body)) == {"batchItemFailures": []}
    agent = poet.api.request("GET", "/agents/poet").json
    assert (agent["status"], agent["active_version"]) == ("active", 2)
    assert sandboxes.calls.count("snapshot") == 1


def test_a_deploy_of_an_unknown_agent_is_acknowledged(sandboxes: FakeSandboxes) -> None:
    for name in ("deploy_bundle_stored", "deploy_requested"):
        assert handle("deploy", event(name)) == {"batchItemFailures": []}
    assert sandboxes.calls == []


@pytest.mark.parametrize("function", ["start", "deploy", "sweep"])
def test_a_message_that_cannot_be_read_is_delivered_again_until_it_is_set_aside(
    function: str, sandboxes: FakeSandboxes
) -> None:
    message = queued("start", {"nonsense": True, "Records": 5})
    failed = handle(function, message)["batchItemFailures"]
    assert failed == [{"itemIdentifier": message["Records"][0]["messageId"]}]
    assert sandboxes.calls == []


def test_sweep_carries_out_messages_and_does_rounds(sandboxes: FakeSandboxes) -> None:
    assert handle("sweep", event("sweep_message")) == {"batchItemFailures": []}
    assert sandboxes.calls == ["kill"]
    assert handle("sweep", event("sweep_schedule")) is None
    assert "list" in sandboxes.calls


def test_a_message_whose_work_failed_is_delivered_again(sandboxes: FakeSandboxes) -> None:
    sandboxes.failures["kill"] = [VendorUnavailable("down")]
    message = event("sweep_message")
    failed = handle("sweep", message)["batchItemFailures"]
    assert failed == [{"itemIdentifier": message["Records"][0]["messageId"]}]


def test_keys_are_read_as_s3_wrote_them() -> None:
    (found,) = deploys_of(event("deploy_bundle_stored")["Records"][0]["body"])
    assert found.agent.slug == "hello"
    assert found.bundle_key.endswith("/hello/release 1.0.tar.gz")
    assert stored_keys(event("complete")) == ["results/inv_0000000000aaaaaaaaaaaaaa/1/result.json"]


def test_s3s_own_test_event_and_odd_keys_ask_for_nothing() -> None:
    assert deploys_of('{"Service":"Amazon S3","Event":"s3:TestEvent"}') == []
    odd = {"Records": [{"s3": {"object": {"key": "bundles/loose.tar.gz"}}}]}
    assert deploys_of(json.dumps(odd)) == []
