"""Sending results to strangers' hosts: over real connections on loopback, and real TLS."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from castari.adapters.callbacks import CallbackSender
from castari.adapters.hosts import Resolve
from castari.errors import CallbackForbidden, CallbackUnanswered
from tests.e2e.product.certificates import Certificates, make_certificates
from tests.receivers import Receiver, serving

NAME = "receiver.example"
HEADERS = {"webhook-id": "inv_1", "Content-Type": "application/json"}


def resolving(*addresses: str, asked: list[str] | None = None) -> Resolve:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        if asked is not None:
            asked.append(host)
        return addresses

    return resolve


def admitted(address: str) -> bool:
    return address == "127.0.0.1"


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates(NAME)


@pytest.fixture
def receiver(certificates: Certificates, tmp_path: Path) -> Iterator[Receiver]:
    chain = tmp_path / "server.pem"
    chain.write_text(certificates.server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with serving(tls=context) as receiver:
        yield receiver


@pytest.fixture
def sender(certificates: Certificates) -> CallbackSender:
    """A sender that trusts the receiver's authority, and takes loopback for the internet."""
    tls = ssl.create_default_context(cadata=certificates.authority)
    return CallbackSender(resolve=resolving("127.0.0.1"), admits=admitted, tls=tls)


def told(sender: CallbackSender, **changes: Any) -> CallbackSender:
    return replace(sender, **changes)


async def test_a_receiver_gets_body_and_headers_by_tls_to_its_name(
    sender: CallbackSender, receiver: Receiver
) -> None:
    answer = await sender.post(f"https://{NAME}:{receiver.port}/hook?a=b%20c", b'{"a": 1}', HEADERS)
    assert answer.status == 204
    (request,) = receiver.received
    assert (request.path, request.body) == ("/hook?a=b%20c", b'{"a": 1}')
    assert request.headers["host"] == f"{NAME}:{receiver.port}"
    assert request.headers["webhook-id"] == "inv_1"
    assert receiver.names == [NAME]


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(
    sender: CallbackSender, receiver: Receiver
) -> None:
    asked: list[str] = []
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    pinned = told(sender, resolve=rebinding)
    assert (await pinned.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)).status == 204
    assert asked == [NAME]
    with pytest.raises(CallbackForbidden, match="not public"):
        await pinned.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"])
async def test_one_address_that_is_not_public_is_enough_to_refuse_a_name(
    receiver: Receiver, address: str
) -> None:
    sender = CallbackSender(resolve=resolving("93.184.215.14", address))
    with pytest.raises(CallbackForbidden, match=f"`{NAME}` leads to an address that is not public"):
        await sender.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)
    assert receiver.received == []


async def test_a_certificate_of_another_name_or_authority_is_refused(
    sender: CallbackSender, receiver: Receiver
) -> None:
    with pytest.raises(CallbackUnanswered, match="certificate is not good"):
        await sender.post(f"https://other.example:{receiver.port}/", b"", HEADERS)
    stranger = CallbackSender(resolve=sender.resolve, admits=admitted)
    with pytest.raises(CallbackUnanswered, match="certificate is not good"):
        await stranger.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)
    assert receiver.received == []


async def test_a_redirect_is_an_answer_and_not_followed(sender: CallbackSender, receiver: Receiver) -> None:
    receiver.statuses, receiver.headers = [302], {"Location": f"https://{NAME}:{receiver.port}/elsewhere"}
    assert (await sender.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)).status == 302
    assert [each.path for each in receiver.received] == ["/"]


async def test_a_proxy_of_the_environment_is_not_used(
    sender: CallbackSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await sender.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)).status == 204


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("-1", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("9" * 40, 999_999_999),
    ],
)
async def test_a_receiver_may_ask_for_a_pause(
    sender: CallbackSender, receiver: Receiver, text: str, seconds: int | None
) -> None:
    receiver.statuses, receiver.headers = [429], {"Retry-After": text}
    answer = await sender.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)
    assert (answer.status, answer.retry_after_seconds) == (429, seconds)


async def test_a_name_that_nobody_has_and_a_port_that_nobody_listens_on_are_told_apart(
    sender: CallbackSender,
) -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(CallbackUnanswered, match="name cannot be found"):
        await told(sender, resolve=unknown).post(f"https://{NAME}/", b"", HEADERS)
    with pytest.raises(CallbackUnanswered, match="cannot be reached"):
        await sender.post(f"https://{NAME}:1/", b"", HEADERS)
    with pytest.raises(CallbackUnanswered, match="has no address"):
        await told(sender, resolve=resolving()).post(f"https://{NAME}/", b"", HEADERS)


async def test_another_address_of_a_name_is_tried_where_the_first_does_not_answer(
    sender: CallbackSender, receiver: Receiver
) -> None:
    def both(address: str) -> bool:
        return address in {"127.0.0.1", "127.0.0.2"}

    several = told(sender, resolve=resolving("127.0.0.2", "127.0.0.1"), admits=both)
    assert (await several.post(f"https://{NAME}:{receiver.port}/", b"", HEADERS)).status == 204


Conversation = Callable[[socket.socket], None]


@contextmanager
def talking(conversation: Conversation) -> Iterator[int]:
    """Hold a conversation of the test's own with who connects, in the clear; yield the port."""

    def hold() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                conversation(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


def _drip(connection: socket.socket) -> None:
    """Send a byte of the head now and then, for ever: each read is quick."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.01)


def _flood(connection: socket.socket) -> None:
    """Answer with a head, and a body without end."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"a" * 65536)


def _nonsense(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-hello\r\n\r\n")


async def test_an_answer_that_never_ends_is_cut_off() -> None:
    with talking(_drip) as port:
        sender = CallbackSender(loopback_port=port, seconds=0.3)
        with pytest.raises(CallbackUnanswered, match=r"did not answer within 0\.3 s"):
            await sender.post(f"http://127.0.0.1:{port}/", b"", HEADERS)


async def test_the_body_of_an_answer_is_not_read() -> None:
    with talking(_flood) as port:
        answer = await CallbackSender(loopback_port=port).post(f"http://127.0.0.1:{port}/", b"", HEADERS)
    assert answer.status == 200


async def test_what_does_not_speak_http_is_no_answer() -> None:
    with talking(_nonsense) as port, pytest.raises(CallbackUnanswered, match="did not speak HTTP"):
        await CallbackSender(loopback_port=port).post(f"http://127.0.0.1:{port}/", b"", HEADERS)


async def test_http_goes_to_the_one_port_of_this_machine_that_is_admitted_and_to_loopback_alone() -> None:
    with serving() as receiver:
        url = f"http://localhost:{receiver.port}/hook"
        sender = CallbackSender(loopback_port=receiver.port)
        assert (await sender.post(url, b"x", HEADERS)).status == 204
        for port in (0, receiver.port + 1):
            with pytest.raises(CallbackForbidden, match="https"):
                await CallbackSender(loopback_port=port).post(url, b"x", HEADERS)
        elsewhere = CallbackSender(loopback_port=receiver.port, resolve=resolving("93.184.215.14"))
        with pytest.raises(CallbackForbidden, match="not public"):
            await elsewhere.post(url, b"x", HEADERS)
        assert len(receiver.received) == 1


async def test_what_was_let_into_a_row_by_mistake_is_not_sent() -> None:
    with pytest.raises(CallbackForbidden, match="no public address"):
        await CallbackSender().post("https://169.254.169.254/latest/meta-data", b"", HEADERS)
