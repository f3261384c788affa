"""Secrets over HTTP: values go in and never come out."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pydantic import SecretStr

from castari.adapters.secret_store import SecretStore
from castari.bootstrap import catalogue, clients, stores, tables
from castari.bootstrap.settings import settings
from castari.errors import Conflict
from tests.functional.conftest import Account
from tests.gateway import Gateway

PATH = "/agents/poet/secrets"


@pytest.fixture
def poet(account: Account) -> Account:
    account.api.request("POST", "/agents", {"name": "Poet"})
    return account


def _values(account: Account) -> dict[str, str]:
    agent = catalogue.agents().get(account.user_id, "poet")
    read = stores.secret_store().read(agent.agent_id, agent.secret_version_id)
    return {key: value.get_secret_value() for key, value in read.items()}


def test_a_secret_is_set_listed_replaced_and_deleted_without_its_value_coming_out(poet: Account) -> None:
    assert poet.api.request("GET", PATH).json == []
    made = poet.api.request("POST", PATH, {"key": "TOKEN", "value": "swordfish"})
    assert made.status == 201
    assert set(made.json) == {"key", "created_at", "updated_at"}
    replaced = poet.api.request("POST", PATH, {"key": "TOKEN", "value": "marlin"})
    assert replaced.json["created_at"] == made.json["created_at"]
    assert replaced.json["updated_at"] > made.json["updated_at"]
    assert poet.api.request("GET", PATH).json == [replaced.json]
    assert _values(poet) == {"TOKEN": "marlin"}
    assert poet.api.request("DELETE", f"{PATH}/TOKEN").status == 204
    assert _values(poet) == {}
    assert poet.api.request("DELETE", f"{PATH}/TOKEN").json == {"detail": "Secret not found"}


def test_the_row_of_the_agent_holds_no_value(poet: Account) -> None:
    poet.api.request("POST", PATH, {"key": "TOKEN", "value": "swordfish"})
    row = clients.dynamodb().get_item(
        TableName=settings().agents_table,
        Key={"user_id": {"S": poet.user_id}, "slug": {"S": "poet"}},
    )["Item"]
    assert "TOKEN" in str(row)
    assert "swordfish" not in str(row)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "1BAD", "value": "swordfish"}, "key"),
        ({"key": "A B", "value": "swordfish"}, "key"),
        ({"key": "", "value": "swordfish"}, "key"),
        ({"key": "K" * 129, "value": "swordfish"}, "key"),
        ({"key": "CASTARI_PROMPT", "value": "swordfish"}, "key"),
        ({"key": "TOKEN", "value": "sword\0fish"}, "value"),
        ({"key": "TOKEN", "value": ["swordfish"]}, "value"),
        ({"key": "TOKEN"}, "value"),
        ({"key": "TOKEN", "value": "swordfish" * 10_000}, "value"),
    ],
)
def test_a_bad_secret_is_named_and_its_value_not_repeated(
    poet: Account, capfd: pytest.CaptureFixture[str], body: dict[str, object], field: str
) -> None:
    reply = poet.api.request("POST", PATH, body)
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["body", field]
    assert "sword" not in reply.body
    assert "sword" not in capfd.readouterr().out
    assert poet.api.request("GET", PATH).json == []


def test_any_text_is_a_value(poet: Account) -> None:
    value = "line\nline\t\u2603 \\ \" ' $HOME `x`"
    poet.api.request("POST", PATH, {"key": "TOKEN", "value": value})
    assert _values(poet) == {"TOKEN": value}


def test_of_secrets_set_at_once_none_is_lost(poet: Account) -> None:
    keys = [f"KEY_{number}" for number in range(5)]

    def set_secret(key: str) -> None:
        catalogue.secrets().set(poet.user_id, "poet", key, SecretStr(key.lower()))

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(set_secret, keys))
    assert _values(poet) == {key: key.lower() for key in keys}
    assert [each["key"] for each in poet.api.request("GET", PATH).json] == keys


class _Interrupted(SecretStore):
    """A store in front of whose every write another request changes the secrets."""

    def write(self, agent_id: str, values: object) -> str:
        agent = tables.agents_table().find(agent_id)
        assert agent is not None
        catalogue.secrets().set(agent.user_id, agent.slug, "OTHER", SecretStr("x"))
        return super().write(agent_id, values)  # type: ignore[arg-type]


def test_a_change_that_never_gets_its_turn_says_to_try_again(poet: Account) -> None:
    store = stores.secret_store()
    secrets = replace(catalogue.secrets(), store=_Interrupted(store.client, store.prefix))
    with pytest.raises(Conflict, match="try again"):
        secrets.set(poet.user_id, "poet", "TOKEN", SecretStr("x"))
    assert set(_values(poet)) == {"OTHER"}


def test_secrets_of_an_unknown_agent_are_not_found(api: Gateway) -> None:
    for reply in (
        api.request("GET", PATH),
        api.request("POST", PATH, {"key": "TOKEN", "value": "x"}),
        api.request("DELETE", f"{PATH}/TOKEN"),
    ):
        assert (reply.status, reply.json) == (404, {"detail": "Agent not found"})
