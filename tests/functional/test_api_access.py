"""Who is let in, how often, and what the headers say of it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from castari.bootstrap import catalogue, clients, tables
from castari.bootstrap.settings import settings
from castari.errors import RateLimited, Unauthorized
from castari.services.authentication import Authentication
from tests.functional.conftest import Account
from tests.gateway import Gateway

NOON = datetime(2026, 1, 2, 12, 0, 20, tzinfo=UTC)


def _at(moment: datetime) -> Authentication:
    return replace(catalogue.authentication(), clock=lambda: moment)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer cast_",
        "Bearer cast_00000000_0000000000",
        "Basic Y2FzdDpjYXN0",
        "Bearer cast_0000000\u00e9_0000000000",
        "Bearer " + "x" * 10_000,
    ],
)
@pytest.mark.usefixtures("stack")
def test_no_key_or_a_bad_one_is_refused(authorization: str | None) -> None:
    with pytest.raises(Unauthorized, match="API key"):
        _at(NOON).admit(authorization, "crud")


@pytest.mark.usefixtures("stack")
def test_a_request_without_a_key_is_a_401_that_says_what_to_send() -> None:
    reply = Gateway().request("GET", "/agents")
    assert reply.status == 401
    assert "Authorization: Bearer" in reply.json["detail"]
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_known_prefix_with_another_secret_is_refused(account: Account) -> None:
    assert account.api.key is not None
    forged = account.api.key[:-1] + ("0" if account.api.key[-1] != "0" else "1")
    assert Gateway(forged).request("GET", "/agents").status == 401
    assert account.api.request("GET", "/agents").status == 200


def test_every_answer_to_a_key_says_what_is_left(new_account: Callable[..., Account]) -> None:
    api = new_account(crud_per_minute=1000).api
    for reply in (api.request("GET", "/agents"), api.request("GET", "/agents/x"), api.request("GET", "/x")):
        assert reply.headers["x-ratelimit-limit"] == "1000"
        assert 0 <= int(reply.headers["x-ratelimit-remaining"]) < 1000
        assert 0 < int(reply.headers["x-ratelimit-reset"]) - time.time() <= 60


def test_past_the_limit_a_429_says_when_to_try_again(new_account: Callable[..., Account]) -> None:
    header = f"Bearer {new_account(crud_per_minute=2).api.key}"
    assert [_at(NOON).admit(header, "crud").remaining for _ in range(2)] == [1, 0]
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            _at(NOON).admit(header, "crud")
        assert caught.value.retry_after_seconds == 40
        assert caught.value.reset_at == int(NOON.timestamp()) + 40
    assert _at(NOON + timedelta(seconds=40)).admit(header, "crud").remaining == 1


def test_a_429_carries_the_headers(new_account: Callable[..., Account]) -> None:
    account = new_account(crud_per_minute=1)
    # The minute may turn between two requests, hence three: two of them share one.
    replies = [account.api.request("GET", "/agents") for _ in range(3)]
    limited = next(reply for reply in replies if reply.status == 429)
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert (limited.headers["x-ratelimit-limit"], limited.headers["x-ratelimit-remaining"]) == ("1", "0")
    assert f"retry in {limited.headers['retry-after']} s" in limited.json["detail"]


def test_invocations_count_against_a_limit_of_their_own(new_account: Callable[..., Account]) -> None:
    header = f"Bearer {new_account(crud_per_minute=1, invoke_per_minute=1).api.key}"
    for kind in ("crud", "invoke"):
        assert _at(NOON).admit(header, kind).remaining == 0
        with pytest.raises(RateLimited):
            _at(NOON).admit(header, kind)


def test_requests_at_once_never_exceed_the_limit(new_account: Callable[..., Account]) -> None:
    header = f"Bearer {new_account(crud_per_minute=5).api.key}"

    def admitted(_: int) -> bool:
        try:
            _at(NOON).admit(header, "crud")
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(admitted, range(24))) == 5


def test_a_clock_that_lags_counts_in_the_minute_of_the_row(new_account: Callable[..., Account]) -> None:
    header = f"Bearer {new_account(crud_per_minute=2).api.key}"
    assert _at(NOON + timedelta(minutes=1)).admit(header, "crud").remaining == 1
    assert _at(NOON).admit(header, "crud").remaining == 0
    with pytest.raises(RateLimited):
        _at(NOON).admit(header, "crud")


@pytest.mark.parametrize("later", [timedelta(), timedelta(minutes=1), timedelta(minutes=90)])
def test_an_admission_costs_one_call_also_when_it_begins_a_minute(account: Account, later: timedelta) -> None:
    header = f"Bearer {account.api.key}"
    _at(NOON).admit(header, "crud")
    assert _calls(lambda: _at(NOON + later).admit(header, "crud")) == ["UpdateItem"]


def test_a_worker_that_does_not_know_the_key_begins_its_minute_in_two_calls(account: Account) -> None:
    header = f"Bearer {account.api.key}"
    tables.api_keys_table().windows.clear()
    assert _calls(lambda: _at(NOON).admit(header, "crud")) == ["UpdateItem"] * 2
    assert _at(NOON).admit(header, "crud").remaining == _at(NOON).admit(header, "crud").remaining + 1


def test_a_minute_that_another_worker_began_is_counted_on(new_account: Callable[..., Account]) -> None:
    header = f"Bearer {new_account(crud_per_minute=3).api.key}"
    table = tables.api_keys_table()
    _at(NOON).admit(header, "crud")
    earlier = dict(table.windows)
    next_minute = NOON + timedelta(minutes=1)
    assert _at(next_minute).admit(header, "crud").remaining == 2
    table.windows.update(earlier)
    assert _at(next_minute).admit(header, "crud").remaining == 1
    table.windows.update(earlier)
    assert _at(next_minute).admit(header, "crud").remaining == 0
    table.windows.update(earlier)
    with pytest.raises(RateLimited):
        _at(next_minute).admit(header, "crud")


def _calls(act: Callable[[], object]) -> list[str]:
    """The calls to DynamoDB that an act makes."""
    calls: list[str] = []
    events = clients.dynamodb().meta.events
    events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name), unique_id="count")
    act()
    events.unregister("before-call.dynamodb", unique_id="count")
    return calls


def test_the_documented_limits_are_the_defaults(account: Account) -> None:
    key = account.api.request("POST", "/api-keys", {"name": "default"}).json["key"]
    assert Gateway(key).request("GET", "/agents").headers["x-ratelimit-limit"] == "100"
    assert _at(NOON).admit(f"Bearer {key}", "invoke").limit == 10


def test_me_is_whoever_holds_the_key(account: Account) -> None:
    me = account.api.request("GET", "/auth/me").json
    assert me["id"] == account.user_id
    assert me["email"] == account.email
    assert me["api_key_prefix"] == account.prefix
    assert me["created_at"].endswith("Z")


def test_a_key_is_shown_once_works_and_ends_when_revoked(account: Account) -> None:
    made = account.api.request("POST", "/api-keys", {"name": "ci"}).json
    assert set(made) == {"api_key", "key"}
    assert set(made["api_key"]) == {"id", "name", "prefix", "created_at", "last_used_at"}
    assert made["key"].startswith(made["api_key"]["prefix"] + "_")
    other = Gateway(made["key"])
    assert other.request("GET", "/auth/me").json["id"] == account.user_id
    listed = account.api.request("GET", "/api-keys")
    assert made["key"].rpartition("_")[2] not in listed.body
    assert [key["name"] for key in listed.json] == ["ci", "test"]
    assert all(key["last_used_at"] for key in listed.json)
    assert account.api.request("DELETE", f"/api-keys/{made['api_key']['id']}").status == 204
    assert other.request("GET", "/auth/me").status == 401
    assert account.api.request("DELETE", f"/api-keys/{made['api_key']['id']}").status == 404


@pytest.mark.parametrize("key_id", ["nothing", "key_", "cast_00000000"])
def test_an_unknown_key_cannot_be_revoked(account: Account, key_id: str) -> None:
    reply = account.api.request("DELETE", f"/api-keys/{key_id}")
    assert (reply.status, reply.json) == (404, {"detail": "API key not found"})


def test_a_user_has_a_bounded_number_of_keys(account: Account) -> None:
    statuses = [account.api.request("POST", "/api-keys", {"name": "more"}).status for _ in range(20)]
    assert statuses == [201] * 19 + [409]


def test_no_key_is_stored_as_it_is(account: Account) -> None:
    assert account.api.key is not None
    row = clients.dynamodb().get_item(
        TableName=settings().api_keys_table, Key={"prefix": {"S": account.prefix}}
    )
    assert account.api.key.rpartition("_")[2] not in str(row["Item"])
