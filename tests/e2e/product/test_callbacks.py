"""Callbacks on the whole stack: a signed result, as often as it takes, and to no forbidden address."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook

from bench.stack import Stack
from castari.services.deliveries import MOST_ATTEMPTS
from local.demo.stage import Stage, wait_until
from local.places import REPOSITORY
from tests.e2e.product.agents import Agents
from tests.e2e.product.callback_host import callback_host
from tests.e2e.product.settings import changed
from tests.receivers import Receiver, serving

pytestmark = [pytest.mark.stack, pytest.mark.root]

ECHO = 'process.stdout.write("you said " + require("node:fs").readFileSync(0, "utf8"));'
SHORT = {"CALLBACK_LONGEST_PAUSE_SECONDS": "1"}
"""Nine attempts take nine seconds."""
_PATIENCE_SECONDS = 150.0


@pytest.fixture(scope="module")
def receiver(stage: Stage) -> Iterator[Receiver]:
    """A receiver at the one port of this machine where callbacks may go."""
    with serving(port=urlsplit(stage.environment["CASTARI_CALLBACK_URL"]).port or 0) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def echo(agents: Agents) -> str:
    return agents.deploy_files("echo", {"index.js": ECHO})


@pytest.fixture(scope="module")
def secret(stage: Stage, echo: str) -> str:
    answer = stage.http.post(f"/agents/{echo}/callback-secret")
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["secret"]
    return made


def settled(stage: Stage, slug: str, invocation_id: str) -> dict[str, Any]:
    """Return the invocation once its callback is delivered, or failed for good."""

    def ended() -> dict[str, Any] | None:
        one: dict[str, Any] = stage.get(f"/agents/{slug}/invocations/{invocation_id}")
        return one if one["callback"]["status"] in {"delivered", "failed"} else None

    found: dict[str, Any] = wait_until(ended, "its callback to be over", _PATIENCE_SECONDS)
    return found


@pytest.fixture
def told(stage: Stage, echo: str) -> Callable[[str], dict[str, Any]]:
    return lambda invocation_id: settled(stage, echo, invocation_id)


def test_a_result_comes_signed_whoever_finishes_the_invocation(
    stage: Stage, echo: str, secret: str, receiver: Receiver, told: Callable[[str], dict[str, Any]]
) -> None:
    url = f"{stage.environment['CASTARI_CALLBACK_URL']}/signed"
    body = {"prompt": "hi", "callback_url": url}
    ways = [
        stage.http.post(f"/agents/{echo}/invoke", json=body),
        stage.http.post(f"/agents/{echo}/invocations", json=body),
    ]
    batch = {"prompts": ["hi"], "callback_url": url}
    made = [way.raise_for_status().json()["invocation_id"] for way in ways]
    many = stage.http.post(f"/agents/{echo}/invocations/batch", json=batch).raise_for_status().json()
    made.append(many["invocations"][0]["invocation_id"])
    for invocation_id in made:
        ended = told(invocation_id)
        assert (ended["callback"]["status"], ended["callback"]["last_status"]) == ("delivered", 204), ended
    got = {request.headers["webhook-id"]: request for request in receiver.at("/signed")}
    assert got.keys() == set(made)
    for request in got.values():
        payload = Webhook(secret).verify(request.body, request.headers)
        assert payload["type"] == "invocation.completed"
        assert payload["data"]["response_content"] == "you said hi"


def test_a_receiver_that_fails_twice_gets_it_a_third_time(
    stage: Stage, echo: str, secret: str, receiver: Receiver, told: Callable[[str], dict[str, Any]]
) -> None:
    receiver.statuses[:] = [500, 503]
    body = {"prompt": "again", "callback_url": f"{stage.environment['CASTARI_CALLBACK_URL']}/again"}
    made = stage.http.post(f"/agents/{echo}/invoke", json=body).raise_for_status().json()
    callback = told(made["invocation_id"])["callback"]
    assert (callback["status"], callback["attempts"], callback["last_status"]) == ("delivered", 3, 204)
    requests = receiver.at("/again")
    assert {request.headers["webhook-id"] for request in requests} == {made["invocation_id"]}
    assert len({request.body for request in requests}) == 1
    for request in requests:
        Webhook(secret).verify(request.body, request.headers)


def test_a_cancel_is_told_to_where_the_agent_says(
    stage: Stage, echo: str, secret: str, receiver: Receiver, told: Callable[[str], dict[str, Any]]
) -> None:
    url = f"{stage.environment['CASTARI_CALLBACK_URL']}/agent"
    stage.http.patch(f"/agents/{echo}", json={"callback_url": url}).raise_for_status()
    try:
        made = stage.http.post(f"/agents/{echo}/invocations", json={"prompt": "x"}).raise_for_status().json()
        cancelled = stage.http.delete(f"/agents/{echo}/invocations/{made['invocation_id']}").json()
    finally:
        stage.http.patch(f"/agents/{echo}", json={"callback_url": None}).raise_for_status()
    assert told(made["invocation_id"])["callback"]["status"] == "delivered"
    (request,) = receiver.at("/agent")
    payload = Webhook(secret).verify(request.body, request.headers)
    # It may have completed before the cancel came.
    assert payload["type"] == f"invocation.{cancelled['status']}"


def test_a_forbidden_address_is_refused_by_name_of_its_field(stage: Stage, echo: str, secret: str) -> None:
    assert secret
    stack_itself = stage.environment["AWS_ENDPOINT_URL"]
    for url in ("https://169.254.169.254/latest", "https://0x7f000001/", stack_itself, "http://10.0.0.1/"):
        answer = stage.http.post(f"/agents/{echo}/invoke", json={"prompt": "x", "callback_url": url})
        assert answer.status_code == 422, url
        assert answer.json()["detail"][0]["loc"] == ["body", "callback_url"]


def test_a_result_goes_to_a_host_of_the_internet_by_https_only_if_its_certificate_is_trusted(
    stage: Stage, echo: str, secret: str, tmp_path: Path, told: Callable[[str], dict[str, Any]]
) -> None:
    stack = Stack(stage.environment, stage.http)

    def ended(trusting: dict[str, str]) -> dict[str, Any]:
        # No settings change while an attempt may be under way: its worker would be ended with it.
        with changed(stack, SHORT | trusting, ("Notify",)):
            body = {"prompt": "by https", "callback_url": host.url("/results")}
            made = stage.http.post(f"/agents/{echo}/invoke", json=body).raise_for_status().json()
            return told(made["invocation_id"])

    with callback_host(tmp_path) as host:
        trusted = ended({"SSL_CERT_FILE": str(host.authority)})
        received = host.next()
        refused = ended({})["callback"]
    assert trusted["callback"]["status"] == "delivered"
    assert received.path == "/results"
    data = Webhook(secret).verify(received.body, received.headers)["data"]
    assert data["invocation_id"] == trusted["invocation_id"]
    assert (refused["status"], refused["attempts"], refused["last_status"]) == ("failed", MOST_ATTEMPTS, None)
    assert "its certificate is not good for its name" in refused["message"]


def test_a_result_that_nobody_takes_is_set_aside_and_comes_again_when_the_operator_sends_it_back(
    stage: Stage, echo: str, secret: str, receiver: Receiver, told: Callable[[str], dict[str, Any]]
) -> None:
    assert secret
    stack = Stack(stage.environment, stage.http)
    receiver.statuses[:] = [500] * MOST_ATTEMPTS
    body = {"prompt": "never", "callback_url": f"{stage.environment['CASTARI_CALLBACK_URL']}/never"}
    with changed(stack, SHORT, ("Notify",)):
        made = stage.http.post(f"/agents/{echo}/invoke", json=body).raise_for_status().json()["invocation_id"]
        callback = told(made)["callback"]
        assert (callback["status"], callback["attempts"], callback["last_status"]) == ("failed", 9, 500)
        dead = wait_until(lambda: _set_aside(stack, made), "its message to be set aside", _PATIENCE_SECONDS)
        queues(stack).send_message(QueueUrl=stack.names["CALLBACK_QUEUE_URL"], MessageBody=dead)
        wait_until(
            lambda: stage.get(f"/agents/{echo}/invocations/{made}")["callback"]["status"] == "delivered",
            "the message that was sent back to be delivered",
            _PATIENCE_SECONDS,
        )
    assert len(receiver.at("/never")) == MOST_ATTEMPTS + 1


def _set_aside(stack: Stack, invocation_id: str) -> str | None:
    """Take the message of an invocation out of the callbacks' dead letter queue and return its body."""
    client = queues(stack)
    url = next(each for each in client.list_queues()["QueueUrls"] if "CallbackDeadLetters" in each)
    for message in client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        if invocation_id in message["Body"]:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return str(message["Body"])
    return None


def queues(stack: Stack) -> Any:
    return stack.session.client("sqs", endpoint_url=stack.env["AWS_ENDPOINT_URL"])


LOOK_UP = """
import asyncio, sys
from castari.adapters.callbacks import CallbackSender
from castari.errors import CallbackForbidden
try:
    asyncio.run(CallbackSender().post("https://inside.example/", b"", {}))
except CallbackForbidden as error:
    print(error)
"""


@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "127.0.0.1", "fd00::1"])
def test_a_name_that_leads_to_a_private_address_is_not_called(address: str, tmp_path: Path) -> None:
    hosts, layer = tmp_path / "hosts", REPOSITORY / "layers/application"
    hosts.write_text(f"{address} inside.example\n")
    # The system's own resolver, with another list of hosts in a mount namespace that ends with the process.
    shell = f'mount --bind "{hosts}" /etc/hosts && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", shell, "sh", sys.executable, "-c", LOOK_UP]
    done = subprocess.run(
        words,
        env={"PYTHONPATH": str(layer), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "leads to an address that is not public" in done.stdout, done.stderr
