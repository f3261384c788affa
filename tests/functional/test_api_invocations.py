"""Queued invocations over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from castari.bootstrap import catalogue, clients, stores, tables
from castari.ids import new_id
from castari.messages import StartInvocation
from castari.models import ActiveVersion, Failure, Invocation
from tests.functional.conftest import Account

PATH = "/agents/poet/invocations"
CONTRACT = {
    "invocation_id", "session_id", "sandbox_id", "response_content", "input_tokens", "output_tokens",
    "total_cost_usd", "duration_ms", "status",
}  # fmt: skip


@pytest.fixture
def poet(account: Account) -> Account:
    account.api.request("POST", "/agents", {"name": "Poet"})
    table = tables.agents_table()
    version = ActiveVersion(version_id="ver_1", number=1, snapshot_id="snap")
    table.update(
        table.get(account.user_id, "poet"), {"status": "active", "active_version": version.model_dump()}
    )
    return account


def _queued(invocation_id: str) -> bool:
    queue, found = stores.invocation_queue(), []
    while (
        messages := clients.sqs().receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages")
    ):
        found += [StartInvocation.model_validate_json(each["Body"]).invocation_id for each in messages]
    return found.count(invocation_id) == 1


def _finished(account: Account, **fields: Any) -> Invocation:
    agent = catalogue.agents().get(account.user_id, "poet")
    now = datetime.now(UTC)
    invocation = Invocation(
        invocation_id=new_id("inv"),
        user_id=account.user_id,
        agent_id=agent.agent_id,
        slug="poet",
        timeout_seconds=120,
        deadline_at=now + timedelta(hours=1),
        **{"session_id": new_id("sess"), "created_at": now, **fields},
    )
    tables.invocations_table().create(invocation)
    return invocation


def test_a_prompt_is_accepted_queued_and_readable_where_the_location_says(poet: Account) -> None:
    reply = poet.api.request("POST", PATH, {"prompt": "Say hello", "timeout_seconds": 7})
    assert reply.status == 202
    assert set(reply.json) == {"invocation_id", "session_id", "status"}
    assert reply.json["status"] == "queued"
    location = reply.headers["location"]
    assert location == f"/api/v1{PATH}/{reply.json['invocation_id']}"
    assert _queued(reply.json["invocation_id"])
    seen = poet.api.request("GET", location.removeprefix("/api/v1"))
    assert seen.status == 200
    assert set(seen.json) >= CONTRACT
    assert seen.json["status"] == "queued"
    assert "Say hello" not in seen.body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({}, "prompt"),
        ({"prompt": 1}, "prompt"),
        ({"prompt": "x", "timeout_seconds": 0}, "timeout_seconds"),
        ({"prompt": "x", "timeout_seconds": 601}, "timeout_seconds"),
        ({"prompt": "x", "timeout": 5}, "timeout"),
    ],
)
def test_a_bad_request_names_the_field(poet: Account, body: dict[str, Any], field: str) -> None:
    reply = poet.api.request("POST", PATH, body)
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["body", field]


def test_a_prompt_of_two_megabytes_is_too_large(poet: Account) -> None:
    reply = poet.api.request("POST", PATH, {"prompt": "x" * 2_000_000})
    assert reply.status == 413
    assert "1048576" in reply.json["detail"]


def test_a_long_prompt_is_kept_out_of_the_row(poet: Account) -> None:
    prompt = "long " * 100_000
    invocation_id = poet.api.request("POST", PATH, {"prompt": prompt}).json["invocation_id"]
    invocation = tables.invocations_table().get(invocation_id)
    assert (invocation.prompt, invocation.prompt_key) == (None, f"prompts/{invocation_id}")


def test_an_agent_that_is_not_active_says_so_and_what_to_do(account: Account) -> None:
    account.api.request("POST", "/agents", {"name": "Poet"})
    reply = account.api.request("POST", PATH, {"prompt": "hello"})
    assert reply.status == 409
    assert reply.json["detail"] == "Agent not active"
    assert "deploy it first" in reply.json["remedy"]


def test_a_failed_invocation_is_read_with_what_went_wrong(poet: Account) -> None:
    failure = Failure(code="nonzero_exit", message="exit code 3", remedy="read stderr", exit_code=3)
    made = _finished(poet, status="failed", failure=failure, stderr_tail="oops", cost_micro_dollars=1500)
    reply = poet.api.request("GET", f"{PATH}/{made.invocation_id}")
    assert (reply.status, reply.json["status"], reply.json["stderr_tail"]) == (200, "failed", "oops")
    assert reply.json["failure"] == failure.model_dump()
    assert reply.json["total_cost_usd"] == 0.0015


def test_history_is_newest_first_and_pages(poet: Account) -> None:
    made = [_finished(poet, status="completed", response=str(number)) for number in range(3)]
    listed = poet.api.request("GET", PATH, limit=2).json
    assert [each["response_content"] for each in listed] == ["2", "1"]
    rest = poet.api.request("GET", PATH, limit=2, offset=2).json
    assert [each["invocation_id"] for each in rest] == [made[0].invocation_id]


def test_an_invocation_of_another_agent_is_not_found(poet: Account) -> None:
    made = _finished(poet, status="completed")
    poet.api.request("POST", "/agents", {"name": "Other"})
    reply = poet.api.request("GET", f"/agents/other/invocations/{made.invocation_id}")
    assert (reply.status, reply.json) == (404, {"detail": "Invocation not found"})
    assert poet.api.request("GET", f"{PATH}/inv_unknown").status == 404


def test_the_history_is_cut_by_status_session_and_time(poet: Account) -> None:
    now = datetime.now(UTC)
    told = [("ada", "completed"), ("bob", "completed"), ("ada", "failed"), ("ada", "completed")]
    made = [
        _finished(
            poet, session_id=session, status=status, created_at=now - timedelta(hours=age)
        ).invocation_id
        for age, (session, status) in enumerate(told)
    ]

    def listed(**query: object) -> list[str]:
        reply = poet.api.request("GET", PATH, **query)
        assert reply.status == 200, reply.json
        return [each["invocation_id"] for each in reply.json]

    between = (now - timedelta(minutes=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert listed() == made
    assert listed(status="failed") == [made[2]]
    assert listed(session_id="ada") == [made[0], made[2], made[3]]
    assert listed(session_id="ada", status="completed", limit=1, offset=1) == [made[3]]
    assert listed(since=between) == made[:2]
    assert listed(until=between) == made[2:]
    for wrong in ({"status": "lazy"}, {"since": "yesterday"}, {"since": between, "until": between}):
        assert poet.api.request("GET", PATH, None, **wrong).status == 422


def test_a_duration_is_told_in_parts(poet: Account) -> None:
    began = datetime.now(UTC)
    times = {"created_at": began, "started_at": began + timedelta(milliseconds=250)}
    made = _finished(poet, status="completed", duration_milliseconds=90, run_milliseconds=31, **times)
    seen = poet.api.request("GET", f"{PATH}/{made.invocation_id}").json
    assert (seen["queue_ms"], seen["duration_ms"], seen["run_ms"]) == (250, 90, 31)
