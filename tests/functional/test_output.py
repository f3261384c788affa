"""What an agent prints, read while it runs and afterwards."""

import asyncio
import base64
from datetime import datetime
from typing import Any

import boto3
import pytest

from castari.adapters.results import log_key, response_key
from castari.bootstrap import results, tables
from castari.errors import SandboxLost, SandboxMissing
from castari.reports import LONGEST_OUTPUT_BYTES, RunReport
from tests.fakes import FakeSandboxes, ScriptedRunner
from tests.functional.conftest import Account
from tests.gateway import Gateway, Reply


@pytest.fixture
def running(poet: Account, sandboxes: FakeSandboxes) -> str:
    """The id of an invocation whose agent runs until the test ends."""
    runner = sandboxes.script
    assert isinstance(runner, ScriptedRunner)
    runner.waits = asyncio.Event().wait
    reply = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"}, wait=0.05)
    assert (reply.status, reply.json["status"]) == (202, "running")
    return str(reply.json["invocation_id"])


def output(account: Account, invocation_id: str, **query: object) -> Reply:
    return account.api.request("GET", f"/agents/poet/invocations/{invocation_id}/output", **query)


def events(account: Account, invocation_id: str, last: str | None = None, **query: object) -> Reply:
    headers = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
    api = Gateway(account.api.key, headers)
    return api.request("GET", f"/agents/poet/invocations/{invocation_id}/output", **query)


def finish(invocation_id: str, **report: Any) -> None:
    """Finish as the runner does that has printed this."""
    made = RunReport(invocation_id=invocation_id, attempt=1, exit_code=0, **report)
    results.finishes().by_report(tables.invocations_table().get(invocation_id), made)


def test_what_was_printed_is_read_while_the_agent_runs(
    poet: Account, sandboxes: FakeSandboxes, running: str
) -> None:
    sandboxes.printed = {"stdout": b"one two", "stderr": b"log"}
    first = output(poet, running).json
    assert first == {
        "status": "running", "offset": 0, "next_offset": 7, "content": "one two", "is_base64": False,
        "done": False,
    }  # fmt: skip
    sandboxes.printed["stdout"] += b" three"
    assert output(poet, running, offset=first["next_offset"]).json["content"] == " three"
    assert output(poet, running, stream="stderr").json["content"] == "log"


def test_reading_does_not_change_when_the_sandbox_ends(
    poet: Account, sandboxes: FakeSandboxes, running: str
) -> None:
    def ends() -> list[datetime]:
        return [sandbox.ends_at for sandbox in sandboxes.alive.values()]

    sandboxes.calls.clear()
    before = ends()
    output(poet, running)
    assert (ends(), sandboxes.calls) == (before, ["start"])


def test_the_way_into_a_sandbox_is_kept_sealed_and_only_while_it_runs(
    poet: Account, sandboxes: FakeSandboxes, running: str
) -> None:
    row = tables.invocations_table().get(running)
    assert row.sealed_access
    assert "token-" not in row.sealed_access
    assert row.sealed_access not in output(poet, running).body
    finish(running)
    assert tables.invocations_table().get(running).sealed_access is None
    output(poet, running)
    assert sandboxes.calls.count("start") == 2  # the runner's and the one look


def test_parts_end_between_characters(poet: Account, sandboxes: FakeSandboxes, running: str) -> None:
    sandboxes.printed = {"stdout": "aé".encode()[:-1]}
    assert output(poet, running).json["content"] == "a"
    sandboxes.printed = {"stdout": b"\xff\xfe\x00"}
    found = output(poet, running).json
    assert (found["is_base64"], base64.b64decode(found["content"])) == (True, b"\xff\xfe\x00")


@pytest.mark.parametrize("error", [SandboxMissing("gone"), SandboxLost("no answer")])
def test_a_sandbox_that_cannot_be_asked_is_no_error(
    poet: Account, sandboxes: FakeSandboxes, running: str, error: Exception
) -> None:
    sandboxes.failures["start"] = [error]  # type: ignore[list-item]
    reply = output(poet, running)
    assert (reply.status, reply.json["content"], reply.json["done"]) == (200, "", False)


def test_a_sandbox_that_lies_about_its_output_is_not_believed(
    poet: Account, sandboxes: FakeSandboxes, running: str
) -> None:
    sandboxes.printed = {"stdout": b"x" * (LONGEST_OUTPUT_BYTES + 1)}
    assert len(output(poet, running).json["content"]) == LONGEST_OUTPUT_BYTES
    for lie in (
        {"content": "?"},
        {"content": "QQ==", "offset": 5},
        {"content": None},
        {"content": "A" * 400_000},
    ):
        sandboxes.lie = lie
        assert output(poet, running).json["content"] == ""


@pytest.mark.parametrize(
    ("report", "content"),
    [
        ({"stdout": "grüße"}, "grüße".encode()),
        ({"stdout": base64.b64encode(b"\xff\x00").decode(), "stdout_is_base64": True}, b"\xff\x00"),
        ({}, b""),
    ],
)
def test_after_the_end_it_is_read_from_what_was_kept(
    poet: Account, running: str, report: dict[str, Any], content: bytes
) -> None:
    finish(running, **report)
    found = output(poet, running).json
    text = found["content"]
    assert (base64.b64decode(text) if found["is_base64"] else text.encode()) == content
    assert (found["status"], found["done"], found["next_offset"]) == ("completed", True, len(content))


def test_a_long_answer_is_read_part_by_part(poet: Account, running: str, stack: dict[str, str]) -> None:
    content = ("ä" * 300_000).encode()
    key = response_key(running, 1)
    boto3.client("s3").put_object(Bucket=stack["RESULT_BUCKET"], Key=key, Body=content)
    finish(running, stdout_stored=True)
    found, offset, done = b"", 0, False
    while not done:
        part = output(poet, running, offset=offset).json
        found, offset, done = found + part["content"].encode(), part["next_offset"], part["done"]
    assert found == content
    past = output(poet, running, offset=len(content) + 5).json
    assert (past["content"], past["done"]) == ("", True)


def test_of_stderr_the_end_is_kept_and_says_where_it_begins(poet: Account, running: str) -> None:
    finish(running, stderr="the reason\n", stderr_bytes=1_000)
    found = output(poet, running, stream="stderr", offset=5).json
    assert (found["offset"], found["next_offset"], found["content"]) == (989, 1_000, "the reason\n")
    assert output(poet, running, stream="stderr", offset=993).json["content"] == "reason\n"


def test_long_stderr_is_read_from_where_it_was_put_aside_and_else_its_end(
    poet: Account, running: str, stack: dict[str, str]
) -> None:
    finish(running, stderr="end", stderr_bytes=1_000, stderr_stored_bytes=900)
    assert output(poet, running, stream="stderr").json["offset"] == 997
    body = b"s" * 897 + b"end"
    boto3.client("s3").put_object(Bucket=stack["RESULT_BUCKET"], Key=log_key(running, 1), Body=body)
    whole = output(poet, running, stream="stderr").json
    assert (whole["offset"], whole["next_offset"], whole["done"]) == (100, 1_000, True)
    assert whole["content"].encode() == body
    assert output(poet, running, stream="stderr", offset=998).json["content"] == "nd"


def test_events_carry_their_offsets_so_that_a_browser_goes_on_where_it_was(
    poet: Account, sandboxes: FakeSandboxes, running: str
) -> None:
    sandboxes.printed = {"stdout": b"one\ntwo"}
    reply = events(poet, running)
    assert reply.headers["content-type"] == "text/event-stream"
    retry, shown, rest = reply.body.split("\n\n")
    assert retry.startswith("retry: ")
    assert shown.startswith("id: 7\nevent: output\ndata: {")
    assert rest == ""
    assert events(poet, running, last="7").body == retry + "\n\n"


def test_the_last_event_says_how_it_ended_and_whoever_had_it_need_not_come_back(
    poet: Account, running: str
) -> None:
    finish(running, stdout="done")
    assert 'id: 4end\nevent: end\ndata: {"status": "completed"}\n\n' in events(poet, running, last="4").body
    assert events(poet, running, last="4end").status == 204


@pytest.mark.parametrize(
    ("query", "field"),
    [({"offset": -1}, "offset"), ({"stream": "stdin"}, "stream"), ({"wait": 21}, "wait"), ({"of": 1}, "of")],
)
def test_a_bad_query_names_the_field(
    poet: Account, running: str, query: dict[str, object], field: str
) -> None:
    reply = output(poet, running, **query)
    assert (reply.status, reply.json["detail"][0]["loc"]) == (422, ["query", field])


def test_output_of_somebody_else_is_not_found(poet: Account, running: str, new_account: Any) -> None:
    stranger = new_account()
    stranger.api.request("POST", "/agents", {"name": "Poet"})
    assert output(stranger, running).status == 404
    assert output(poet, "inv_unknown").status == 404
