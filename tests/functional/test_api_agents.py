"""Agents over HTTP, through the real handlers and a local AWS."""

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from castari.bootstrap import catalogue, clients, stores, tables
from castari.clock import utc_now
from castari.messages import MAINTENANCE, DeleteAgent, StopAgent
from castari.models import ActiveVersion
from castari.observability import logger
from tests.functional.conftest import Account
from tests.gateway import Gateway

CONTRACT = {
    "id", "user_id", "name", "slug", "description", "source_type", "git_repo_url", "git_branch",
    "source_hash", "default_model", "max_turns", "timeout_seconds", "status", "status_message",
    "sandbox_id", "created_at", "updated_at",
}  # fmt: skip


def _maintenance(agent_id: str) -> list[Any]:
    queue, found = stores.maintenance_queue(), []
    while (
        messages := clients.sqs().receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages")
    ):
        found += [MAINTENANCE.validate_json(each["Body"]) for each in messages]
    return [message for message in found if getattr(message, "agent_id", None) == agent_id]


def test_a_created_agent_is_a_draft_with_every_field_of_the_contract(account: Account) -> None:
    reply = account.api.request("POST", "/agents", {"name": "My Poet!", "max_turns": 3})
    assert reply.status == 201
    assert set(reply.json) >= CONTRACT
    assert reply.json["slug"] == "my-poet"
    assert (reply.json["status"], reply.json["user_id"]) == ("draft", account.user_id)
    assert account.api.request("GET", "/agents/my-poet").json == reply.json


def test_a_slug_is_unique_per_user_and_the_error_says_what_to_do(api: Gateway) -> None:
    api.request("POST", "/agents", {"name": "Poet"})
    reply = api.request("POST", "/agents", {"name": "Other", "slug": "poet"})
    assert reply.status == 409
    assert "choose another slug" in reply.json["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x", "slug": "Bad_Slug"}, "slug"),
        ({"name": "x", "slug": "-x"}, "slug"),
        ({"name": "x", "slug": "x" * 64}, "slug"),
        ({"name": "!!!"}, "slug"),
        ({"name": "x", "timeout_seconds": 601}, "timeout_seconds"),
        ({"name": "x", "max_turns": 0}, "max_turns"),
        ({"name": "x", "source_type": "ftp"}, "source_type"),
        ({"name": "x", "git_repo_url": "http://example.com/x.git"}, "git_repo_url"),
        ({"name": "x", "descripton": "typo"}, "descripton"),
    ],
)
def test_a_bad_field_is_named(api: Gateway, body: dict[str, Any], field: str) -> None:
    reply = api.request("POST", "/agents", body)
    assert reply.status == 422
    [error] = reply.json["detail"]
    assert error["loc"] == ["body", field]
    assert set(error) == {"loc", "msg", "type"}


@pytest.mark.parametrize(
    "body", [b"{", b'{"name": NaN}', b"[" * 100_000, b'"text"', b"[]", b"null", b"", b'{"name": "\\ud800"}']
)
def test_a_body_that_is_no_json_object_is_refused(api: Gateway, body: bytes) -> None:
    reply = api.send("POST", "/agents", body, "application/json")
    assert reply.status == 422
    assert reply.json["detail"]


def test_a_body_that_is_not_text_is_refused(api: Gateway) -> None:
    assert api.send("POST", "/agents", b"\xff\xfe", "application/octet-stream").status in {400, 422}


def test_lists_page(api: Gateway) -> None:
    for name in ("c", "a", "b"):
        api.request("POST", "/agents", {"name": name})
    assert [agent["slug"] for agent in api.request("GET", "/agents").json] == ["a", "b", "c"]
    assert [agent["slug"] for agent in api.request("GET", "/agents", limit=1, offset=1).json] == ["b"]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"limit": "many"}])
def test_bad_paging_is_named(api: Gateway, query: dict[str, object]) -> None:
    reply = api.request("GET", "/agents", **query)
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["query", next(iter(query))]


def test_a_change_keeps_what_is_not_sent_and_null_empties(api: Gateway) -> None:
    api.request("POST", "/agents", {"name": "Poet", "description": "rhymes", "max_turns": 3})
    changed = api.request("PATCH", "/agents/poet", {"description": None, "timeout_seconds": 60})
    assert changed.status == 200
    now = api.request("GET", "/agents/poet").json
    assert (now["description"], now["timeout_seconds"], now["max_turns"]) == (None, 60, 3)
    assert now["updated_at"] > now["created_at"]


def test_a_name_cannot_be_emptied(api: Gateway) -> None:
    api.request("POST", "/agents", {"name": "Poet"})
    reply = api.request("PATCH", "/agents/poet", {"name": None})
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["body", "name"]


def test_an_empty_change_changes_nothing_but_the_time(api: Gateway) -> None:
    before = api.request("POST", "/agents", {"name": "Poet"}).json
    after = api.request("PATCH", "/agents/poet", {}).json
    assert after | {"updated_at": None} == before | {"updated_at": None}


@pytest.mark.parametrize("slug", ["nobody", "Nobody", "no body", "x" * 129, "%2e%2e"])
def test_an_unknown_agent_is_not_found(api: Gateway, slug: str) -> None:
    reply = api.request("GET", f"/agents/{slug}")
    assert reply.status == (422 if len(slug) > 128 else 404)
    if reply.status == 404:
        assert reply.json == {"detail": "Agent not found"}


def test_a_deleted_agent_is_gone_at_once_and_its_remains_are_sent_for(account: Account) -> None:
    agent = account.api.request("POST", "/agents", {"name": "Poet"}).json
    reply = account.api.request("DELETE", "/agents/poet")
    assert (reply.status, reply.body) == (204, "")
    assert account.api.request("GET", "/agents/poet").status == 404
    assert account.api.request("DELETE", "/agents/poet").status == 404
    [message] = _maintenance(agent["id"])
    assert isinstance(message, DeleteAgent)
    assert message.user_id == account.user_id
    assert account.api.request("POST", "/agents", {"name": "Poet"}).json["id"] != agent["id"]


def test_stopping_takes_an_agent_out_of_service_and_sends_for_its_sandboxes(account: Account) -> None:
    agent = account.api.request("POST", "/agents", {"name": "Poet"}).json
    assert account.api.request("DELETE", "/agents/poet/sandbox").status == 409
    table = tables.agents_table()
    table.update(table.get(account.user_id, "poet"), {"status": "active"})
    stopped = account.api.request("DELETE", "/agents/poet/sandbox")
    assert (stopped.status, stopped.json["status"]) == (200, "stopped")
    [message] = _maintenance(agent["id"])
    assert isinstance(message, StopAgent)


@pytest.mark.parametrize(("serving", "status"), [(False, "error"), (True, "active")])
def test_a_deploy_that_never_reports_back_is_not_shown_for_ever(
    account: Account, serving: bool, status: str
) -> None:
    account.api.request("POST", "/agents", {"name": "Poet"})
    table = tables.agents_table()
    version = ActiveVersion(version_id="ver_1", number=1, snapshot_id="snap") if serving else None
    table.update(table.get(account.user_id, "poet"), {"status": "deploying", "active_version": version})
    agents = catalogue.agents()
    assert agents.get(account.user_id, "poet").status == "deploying"
    later = replace(agents, clock=lambda: utc_now() + timedelta(minutes=31))
    [seen] = later.list(account.user_id, limit=1, offset=0)
    assert seen == later.get(account.user_id, "poet")
    assert (seen.status, seen.status_message) == (status, "the deploy did not report back: deploy again")


def test_health_needs_no_key() -> None:
    reply = Gateway().request("GET", "/health")
    assert (reply.status, reply.json) == (200, {"status": "ok"})


def test_an_unknown_path_is_not_found(api: Gateway) -> None:
    reply = api.request("GET", "/files")
    assert (reply.status, reply.json) == (404, {"detail": "Not found"})
    assert "x-ratelimit-limit" in reply.headers


def test_nothing_of_a_request_is_logged_but_method_path_status_and_who(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()
    usual = logger.registered_handler.setStream(log)  # type: ignore[attr-defined]  # it is a StreamHandler
    account.api.request("POST", "/agents", {"name": "Poet", "description": "word-in-the-body"})
    logger.registered_handler.setStream(usual)  # type: ignore[attr-defined]
    line = json.loads(log.getvalue())
    printed = log.getvalue() + capsys.readouterr().out
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/v1/agents", 201)
    assert line["user_id"] == account.user_id
    assert "word-in-the-body" not in printed
    assert account.api.key is not None
    assert account.api.key.rpartition("_")[2] not in printed
