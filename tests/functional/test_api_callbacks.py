"""Callbacks over HTTP: where they may go, the secret that signs them, and how far one got."""

import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from castari.adapters.callbacks import CallbackAnswer
from castari.bootstrap import callbacks, catalogue, clients, results, tables
from castari.bootstrap.settings import settings
from castari.services.deliveries import Deliveries
from tests.fakes import FakeCallbackSender
from tests.functional.conftest import Account
from tests.functional.test_handlers import event, handle, queued

URL = "https://receiver.example/results"
SECRET = "/agents/poet/callback-secret"
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("/agents/poet/invoke", {"prompt": "hi"}),
    ("/agents/poet/invocations", {"prompt": "hi"}),
    ("/agents/poet/invocations/batch", {"prompts": ["hi"]}),
]


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch, stack: dict[str, str]) -> FakeCallbackSender:
    """Receivers in memory, under the real function."""
    assert stack
    receivers = FakeCallbackSender()
    deliveries = Deliveries(
        tables.invocations_table(),
        tables.agents_table(),
        results.callbacks().table,
        callbacks.callback_secrets(),
        receivers,  # type: ignore[arg-type]
        settings().limits,
    )
    monkeypatch.setattr(callbacks, "deliveries", lambda: deliveries)
    return receivers


def make_secret(account: Account) -> str:
    reply = account.api.request("POST", SECRET)
    assert reply.status == 201
    secret: str = reply.json["secret"]
    return secret


def notify(invocation_id: str) -> Any:
    return handle("notify", queued("notify", {"invocation_id": invocation_id}))


@pytest.mark.parametrize(("path", "body"), SHAPES)
@pytest.mark.parametrize(
    "url",
    ["http://receiver.example/", "https://10.0.0.1/", "https://u:p@receiver.example/", "http://127.0.0.1:1/"],
)
def test_a_callback_to_where_none_may_go_is_refused_by_its_field(
    poet: Account, path: str, body: dict[str, Any], url: str
) -> None:
    make_secret(poet)
    reply = poet.api.request("POST", path, body | {"callback_url": url})
    assert (reply.status, reply.json["detail"][0]["loc"]) == (422, ["body", "callback_url"])
    assert url not in reply.body


@pytest.mark.parametrize(("path", "body"), SHAPES)
def test_without_a_secret_nothing_is_accepted_that_could_not_be_signed(
    poet: Account, path: str, body: dict[str, Any]
) -> None:
    reply = poet.api.request("POST", path, body | {"callback_url": URL})
    assert (reply.status, reply.json["detail"]) == (409, "agent `poet` has no callback secret")
    assert "cast callbacks secret poet" in reply.json["remedy"]


@pytest.mark.parametrize(("path", "body"), SHAPES)
def test_every_shape_takes_a_callback_and_its_result_is_sent(
    poet: Account, receivers: FakeCallbackSender, path: str, body: dict[str, Any]
) -> None:
    secret = make_secret(poet)
    made = poet.api.request("POST", path, body | {"callback_url": URL}).json
    one = (made["invocations"][0] if "invocations" in made else made)["invocation_id"]
    shown = poet.api.request("GET", f"/agents/poet/invocations/{one}").json
    if shown["status"] == "queued":
        assert shown["callback"]["status"] == "waiting"
        shown = poet.api.request("DELETE", f"/agents/poet/invocations/{one}").json
    assert (shown["callback"]["status"], shown["callback"]["url"]) == ("pending", URL)
    assert notify(one) == {"batchItemFailures": []}
    ((_, sent, headers),) = receivers.received
    assert Webhook(secret).verify(sent, headers)["data"]["invocation_id"] == one
    told = poet.api.request("GET", f"/agents/poet/invocations/{one}").json["callback"]
    assert (told["status"], told["attempts"], told["last_status"]) == ("delivered", 1, 204)
    assert told["delivered_at"]


def test_a_callback_that_is_to_come_again_stays_in_the_queue(
    poet: Account, receivers: FakeCallbackSender, caplog: pytest.LogCaptureFixture
) -> None:
    secret = make_secret(poet)
    made = poet.api.request(
        "POST", "/agents/poet/invoke", {"prompt": "hi", "callback_url": f"{URL}?token=t0k"}
    )
    receivers.answers = [CallbackAnswer(503, 3600)]
    failed = notify(made.json["invocation_id"])["batchItemFailures"]
    assert failed == [{"itemIdentifier": event("notify")["Records"][0]["messageId"]}]
    printed = str([vars(record) for record in caplog.records])
    assert "pending at attempt 1, answer 503" in printed
    # Neither where it goes nor what signs it is in a log.
    assert not [text for text in ("t0k", "receiver.example", secret, "you said") if text in printed]


def test_a_sample_message_of_nobody_is_acknowledged(receivers: FakeCallbackSender) -> None:
    assert handle("notify", event("notify")) == {"batchItemFailures": []}
    assert receivers.received == []


def test_a_message_that_cannot_be_read_comes_again_until_it_is_set_aside(
    receivers: FakeCallbackSender,
) -> None:
    assert handle("notify", queued("notify", {"nonsense": 1}))["batchItemFailures"]
    assert receivers.received == []


def test_a_secret_is_shown_when_it_is_made_and_never_again(poet: Account) -> None:
    assert poet.api.request("GET", SECRET).status == 404
    first = make_secret(poet)
    assert first.startswith("whsec_")
    shown = poet.api.request("GET", SECRET)
    assert (shown.status, shown.json.keys()) == (200, {"created_at", "previous_valid_until"})
    assert shown.json["previous_valid_until"] is None
    second = poet.api.request("POST", SECRET).json
    assert second["secret"] != first
    assert second["previous_valid_until"] > second["created_at"]
    row = json.dumps(
        clients.dynamodb().get_item(
            TableName=settings().agents_table,
            Key={"user_id": {"S": poet.user_id}, "slug": {"S": "poet"}},
        )["Item"]
    )
    assert first not in row
    assert second["secret"] not in row


def test_secrets_made_at_the_same_time_lose_none_that_was_shown_last(poet: Account) -> None:
    made = [make_secret(poet) for _ in range(4)]
    agent = catalogue.agents().get(poet.user_id, "poet")
    signing = [each.get_secret_value() for each in callbacks.callback_secrets().signing(agent)]
    assert signing == [made[3], made[2]]


def test_an_agent_keeps_a_callback_for_whoever_names_none(
    poet: Account, receivers: FakeCallbackSender
) -> None:
    refused = poet.api.request("PATCH", "/agents/poet", {"callback_url": URL})
    assert (refused.status, refused.json["detail"]) == (409, "agent `poet` has no callback secret")
    make_secret(poet)
    changed = poet.api.request("PATCH", "/agents/poet", {"callback_url": URL})
    assert (changed.status, changed.json["callback_url"]) == (200, URL)
    for body in ({"prompt": "hi"}, {"prompt": "hi", "callback_url": f"{URL}/mine"}):
        notify(poet.api.request("POST", "/agents/poet/invoke", body).json["invocation_id"])
    assert [url for url, _, _ in receivers.received] == [URL, f"{URL}/mine"]
    poet.api.request("PATCH", "/agents/poet", {"callback_url": None})
    made = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"}).json
    assert made["callback"] is None


def test_an_agent_may_be_made_with_a_callback_to_a_public_place(account: Account) -> None:
    made = account.api.request("POST", "/agents", {"name": "Poet", "callback_url": URL})
    assert (made.status, made.json["callback_url"]) == (201, URL)
    bad = account.api.request("POST", "/agents", {"name": "Other", "callback_url": "http://localhost:8783/"})
    assert (bad.status, bad.json["detail"][0]["loc"]) == (422, ["body", "callback_url"])


def test_the_same_request_with_another_callback_is_another_body(poet: Account) -> None:
    make_secret(poet)
    api = type(poet.api)(poet.api.key, {"idempotency-key": "monday"})
    body = {"prompt": "hi", "callback_url": URL}
    first = api.request("POST", "/agents/poet/invocations", body)
    assert api.request("POST", "/agents/poet/invocations", body).json == first.json
    other = api.request("POST", "/agents/poet/invocations", body | {"callback_url": f"{URL}/2"})
    assert other.status == 422
