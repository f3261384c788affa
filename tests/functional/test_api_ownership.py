"""User B gets 404 for each of user A's resources, over every route that there is."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from castari.bootstrap import catalogue, clients, tables
from castari.ids import new_id
from castari.models import ActiveVersion, Invocation, Session, Version
from tests.functional.conftest import Account
from tests.gateway import Gateway, Reply, multipart

INVOKE = ("POST", "/agents/{slug}/invoke")
OUTPUT = ("GET", "/agents/{slug}/invocations/{invocation_id}/output")
"""The routes that no resolver holds."""
DOCUMENT = Path(__file__).parents[2] / "functions/api/openapi.json"
NOT_SOMEBODYS = {
    ("GET", "/agents"), ("POST", "/agents"), ("GET", "/api-keys"), ("POST", "/api-keys"), ("GET", "/auth/me"),
    ("GET", "/usage"), ("GET", "/usage/daily"), ("GET", "/deletions"),
}  # fmt: skip
"""Routes that name no resource: they show the caller's own."""
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", "/agents/{slug}"): {"name": "Stolen"},
    ("POST", "/agents/{slug}/upload-url"): {"size_bytes": 1},
    ("POST", "/agents/{slug}/invocations"): {"prompt": "hello"},
    ("POST", "/agents/{slug}/invocations/batch"): {"prompts": ["hello"]},
    ("POST", "/agents/{slug}/secrets"): {"key": "TOKEN", "value": "x"},
    ("POST", "/agents/{slug}/rollback"): {"version": 1},
    INVOKE: {"prompt": "hello"},
}


def _routes() -> list[tuple[str, str]]:
    """Return every route that wants a key, from the document that is held equal to what is served."""
    return [
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in json.loads(DOCUMENT.read_text())["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") != []
    ]


OWNED = [route for route in _routes() if route not in NOT_SOMEBODYS]


@dataclass(frozen=True)
class Estate:
    """What user A has."""

    owner: Account
    names: dict[str, str]

    def path(self, route: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.names[match[1]], route)


@pytest.fixture
def estate(account: Account) -> Estate:
    agent_id = account.api.request("POST", "/agents", {"name": "Poet"}).json["id"]
    account.api.request("POST", "/agents/poet/secrets", {"key": "TOKEN", "value": "x"})
    account.api.request("POST", "/agents/poet/callback-secret")
    now = datetime.now(UTC)
    version = Version(
        agent_id=agent_id, version_id=new_id("ver"), user_id=account.user_id, slug="poet", number=1,
        status="ready", bundle_key="bundles/x", source_hash="0", created_at=now, requested_at=now,
        deadline_at=now,
    )  # fmt: skip
    invocation = Invocation(
        invocation_id=new_id("inv"), session_id=new_id("sess"), user_id=account.user_id, agent_id=agent_id,
        slug="poet", status="completed", timeout_seconds=1, deadline_at=now + timedelta(hours=1),
        created_at=now,
    )  # fmt: skip
    session = Session(
        agent_id=agent_id, session_id="chat", user_id=account.user_id, slug="poet", status="idle",
        version=ActiveVersion(version_id=version.version_id, number=1, snapshot_id="snap"),
        created_at=now, last_used_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    clients.dynamodb().put_item(**tables.sessions_table().creation(session))
    tables.versions_table().create(version)
    tables.invocations_table().create(invocation)
    table = tables.agents_table()
    active = ActiveVersion(version_id=version.version_id, number=1, snapshot_id="snap")
    table.update(table.get(account.user_id, "poet"), {"status": "active", "active_version": active})
    names = {
        "slug": "poet", "key": "TOKEN", "version_id": version.version_id,
        "invocation_id": invocation.invocation_id, "session_id": "chat", "key_id": account.key_id,
    }  # fmt: skip
    return Estate(account, names)


def _send(who: Account, method: str, route: str, path: str) -> Reply:
    if route.endswith("/upload"):
        return who.api.send(method, path, *multipart(b"\x1f\x8bbundle"))
    return who.api.request(method, path, BODIES.get((method, route)))


@pytest.mark.parametrize(("method", "route"), OWNED)
def test_another_user_gets_404(
    estate: Estate, new_account: Callable[..., Account], method: str, route: str
) -> None:
    thief, path = new_account(), estate.path(route)
    before = catalogue.agents().get(estate.owner.user_id, "poet")
    assert _send(thief, method, route, path).status == 404
    # Not even an agent of the same slug leads to what belongs to the other.
    thief.api.request("POST", "/agents", {"name": "Poet"})
    if set(re.findall(r"\{(\w+)\}", route)) != {"slug"}:
        assert _send(thief, method, route, path).status == 404
    assert catalogue.agents().get(estate.owner.user_id, "poet") == before
    assert estate.owner.api.request("GET", "/auth/me").status == 200


def test_the_function_url_knows_nobody_elses_agent(
    estate: Estate, new_account: Callable[..., Account]
) -> None:
    path, prompt = estate.path(INVOKE[1]), {"prompt": "hello"}
    thief = replace(new_account().api, function="attend")
    assert thief.request("POST", path, prompt).status == 404
    assert Gateway(function="attend").request("POST", path, prompt).status == 401


@pytest.mark.parametrize(("method", "route"), [route for route in OWNED if route[0] == "GET"])
def test_the_owner_gets_what_others_do_not(estate: Estate, method: str, route: str) -> None:
    assert _send(estate.owner, method, route, estate.path(route)).status == 200


@pytest.mark.parametrize(("method", "route"), sorted({*_routes()}))
def test_without_a_key_no_route_answers(estate: Estate, method: str, route: str) -> None:
    nobody = Account("", "", "", "", type(estate.owner.api)())
    assert _send(nobody, method, route, estate.path(route)).status == 401


def test_lists_hold_the_callers_own_only(estate: Estate, new_account: Callable[..., Account]) -> None:
    other = new_account()
    assert other.api.request("GET", "/agents").json == []
    assert [key["id"] for key in other.api.request("GET", "/api-keys").json] == [other.key_id]
    assert [agent["slug"] for agent in estate.owner.api.request("GET", "/agents").json] == ["poet"]


def test_the_list_of_routes_is_whole() -> None:
    assert len(OWNED) >= 24
    assert {INVOKE, OUTPUT} <= {*OWNED}
    assert set(_routes()) >= NOT_SOMEBODYS
