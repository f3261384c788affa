"""Which host a connection asks for, and which rules allow it, as far as they need no network."""

import asyncio
import json
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.egress.guests import MAX_CONNECTIONS, Guests, TooMany
from local.sandboxes.egress.refusals import MAX_REMEMBERED, REPEAT_SECONDS, Refusals
from local.sandboxes.egress.rules import allows, is_name, is_reachable, parse_network
from local.sandboxes.egress.wanted import MAX_HEAD_BYTES, Wanted, WantedByHello, WantedByHost

labels = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=2, max_size=4).map(".".join)
cuts = st.lists(st.integers(1, 400), max_size=6)


def _hello(name: str | None) -> bytes:
    """The first flight of a real client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def _feed(wanted: Wanted, data: bytes, places: list[int]) -> bool:
    known, start = False, 0
    for place in [*sorted(places), len(data)]:
        if piece := data[start:place]:
            known = wanted.feed(piece)
            start = place
        if known:
            return True
    return known


@given(names, cuts)
def test_a_hello_tells_its_name_however_it_is_cut(name: str, places: list[int]) -> None:
    wanted = WantedByHello()
    assert _feed(wanted, _hello(name), places)
    assert wanted.name == name
    assert wanted.refusal("").startswith(b"\x15\x03")  # A TLS alert.


def test_a_hello_without_a_name_wants_nobody() -> None:
    wanted = WantedByHello()
    assert wanted.feed(_hello(None))
    assert wanted.name is None


@given(st.binary(min_size=1, max_size=200))
def test_noise_is_no_hello_and_no_request(noise: bytes) -> None:
    for wanted in (WantedByHello(), WantedByHost()):
        try:
            known = wanted.feed(noise)
        except ValueError:
            continue
        assert not known or wanted.name is None


@given(names, cuts)
def test_a_request_tells_its_host_however_it_is_cut(name: str, places: list[int]) -> None:
    wanted = WantedByHost()
    head = f"POST /a?b HTTP/1.1\r\nUser-Agent: x\r\nHOST: {name.upper()}:80\r\nContent-Length: 3\r\n\r\nabc"
    assert _feed(wanted, head.encode(), places)
    assert wanted.name == name


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
        b"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n folded\r\nHost: a\x00.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD_BYTES,
    ],
)
def test_a_request_that_could_mean_another_host_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"request|target"):
        WantedByHost().feed(head)


@given(names, names)
def test_a_name_allows_itself_and_a_wildcard_what_is_below(name: str, other: str) -> None:
    assert allows((name,), name.upper() + ".")
    assert allows((name,), other) == (name == other)
    assert allows((f"*.{name}",), f"{other}.{name}")
    assert not allows((f"*.{name}",), name)
    assert not allows((f"*.{name}",), f"x{name}")
    assert is_name(name)
    assert is_name(f"*.{name}")


@pytest.mark.parametrize(
    "rule",
    ["*", "*.", "com", "a.*.com", "**.a.com", "1.2.3.4", "10.0.0.0/8", "a.com:80", "a..com", "-a.com/"],
)
def test_what_is_no_name_is_not_taken_for_one(rule: str) -> None:
    assert not is_name(rule)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1"]
)
def test_private_addresses_are_reachable_by_no_name(address: str) -> None:
    assert not is_reachable(address)
    assert parse_network(address).prefixlen == 32


def test_a_refusal_is_told_once_a_minute_and_only_so_many_are() -> None:
    lines: list[str] = []
    now = 0.0
    refusals = Refusals(lines.append, lambda: now)
    for _ in range(2):
        refusals.tell("100.64.0.2", "a.example", 443)
    assert [json.loads(line) for line in lines] == [
        {"address": "100.64.0.2", "host": "a.example", "port": 443}
    ]
    for number in range(2 * MAX_REMEMBERED):
        refusals.tell("100.64.0.2", f"{number}.example", 53)
    assert len(lines) == MAX_REMEMBERED
    refusals.tell("100.64.0.3", None, 80)
    assert json.loads(lines[-1])["host"] == ""
    now = REPEAT_SECONDS + 1
    refusals.tell("100.64.0.2", "a.example", 443)
    assert len(lines) == MAX_REMEMBERED + 2


async def test_a_sandbox_has_so_many_connections_and_loses_those_that_are_no_longer_allowed() -> None:
    guests = Guests()
    guests.set_names("100.64.0.2", ("a.example", "b.example"))
    ready = asyncio.Semaphore(0)

    async def hold(address: str, name: str) -> None:
        with guests.connected(address) as name_it:
            name_it(name)
            ready.release()
            await asyncio.Event().wait()

    tasks = [
        asyncio.create_task(hold("100.64.0.2", "ab"[i % 2] + ".example")) for i in range(MAX_CONNECTIONS)
    ]
    for _ in tasks:
        await ready.acquire()
    with pytest.raises(TooMany):
        await hold("100.64.0.2", "a.example")
    other = asyncio.create_task(hold("100.64.0.3", "a.example"))
    await ready.acquire()
    guests.set_names("100.64.0.2", ("a.example",))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [i % 2 == 1 for i in range(MAX_CONNECTIONS)]
    assert not other.done()
    for task in (*tasks, other):
        task.cancel()
    await asyncio.gather(*tasks, other, return_exceptions=True)
    assert not guests.may("100.64.0.3", "a.example")
