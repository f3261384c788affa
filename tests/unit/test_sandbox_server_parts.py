"""Parts of the sandbox server on their own: keys that repeat, lists, signatures, packed uploads, paths."""

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from e2b.sandbox.signature import get_signature
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.envd.accounts import Account, Accounts
from local.sandboxes.envd.connect import parse
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.gunzip import Gunzip
from local.sandboxes.envd.paths import resolve
from local.sandboxes.server.access import new_id, signature_fits
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.idempotency import Idempotency
from local.sandboxes.server.registry import Listing, read_cursor, write_cursor

USER = Account("user", 1000, 1000, "/home/user")


async def test_work_under_one_key_is_done_once_even_at_the_same_time() -> None:
    idempotency, done = Idempotency(), []

    async def work() -> dict[str, int]:
        await asyncio.sleep(0)
        done.append(1)
        return {"number": len(done)}

    answers = await asyncio.gather(*(idempotency.once("key", b"body", work) for _ in range(3)))
    assert answers == [{"number": 1}] * 3
    assert await idempotency.once("other", b"body", work) == {"number": 2}
    assert await idempotency.once(None, b"body", work) == {"number": 3}


async def test_a_failure_is_not_remembered() -> None:
    idempotency = Idempotency()

    async def fail() -> dict[str, int]:
        raise ApiError(503, "busy")

    async def succeed() -> dict[str, int]:
        return {"number": 1}

    with pytest.raises(ApiError, match="busy"):
        await idempotency.once("key", b"body", fail)
    await asyncio.sleep(0)
    assert await idempotency.once("key", b"body", succeed) == {"number": 1}


async def test_another_body_under_a_known_key_is_422() -> None:
    idempotency = Idempotency()

    async def work() -> dict[str, int]:
        return {}

    await idempotency.once("key", b"one", work)
    with pytest.raises(ApiError) as caught:
        await idempotency.once("key", b"two", work)
    assert caught.value.status == 422


@given(path=st.text(), user=st.none() | st.text(min_size=1), seconds=st.none() | st.integers(60, 10**6))
def test_every_signature_of_the_sdk_fits_its_token_and_no_other(
    path: str, user: str | None, seconds: int | None
) -> None:
    signed = get_signature(path, "read", user, "token", seconds)
    query: dict[str, str] = {"path": path, "signature": signed["signature"]}
    query |= {"username": user} if user else {}
    query |= {"signature_expiration": str(signed["expiration"])} if seconds else {}
    assert signature_fits(query, "GET", "token")
    assert not signature_fits(query, "POST", "token")
    assert not signature_fits(query, "GET", "other")
    assert not signature_fits(query | {"path": path + "x"}, "GET", "token")


@pytest.mark.parametrize("expiry", ["0", "-1", "x", "1e99", "1700000000"])
def test_a_signature_that_is_over_or_malformed_does_not_fit(expiry: str) -> None:
    signed = get_signature("a", "read", None, "token")
    query = {"path": "a", "signature": signed["signature"], "signature_expiration": expiry}
    assert not signature_fits(query, "GET", "token")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"nextToken": "not ours"}, "nextToken"),
        ({"nextToken": "W10="}, "nextToken"),
        ({"startedAfter": "yesterday"}, "startedAfter"),
    ],
)
def test_a_malformed_list_query_names_its_field(query: Mapping[str, str], field: str) -> None:
    with pytest.raises(ApiError, match=field) as caught:
        Listing.parse(query)
    assert caught.value.status == 400


def test_a_cursor_reads_back() -> None:
    assert read_cursor(write_cursor("2026-01-01", "i1")) == ("2026-01-01", "i1")


def test_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


@given(data=st.binary(max_size=200_000), cuts=st.lists(st.integers(0, 1000), max_size=20))
def test_gzip_in_any_pieces_unpacks_to_the_same(data: bytes, cuts: list[int]) -> None:
    packed = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    gunzip, plain = Gunzip(), b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(packed)], strict=True):
        plain += b"".join(gunzip.feed(packed[start:end]))
    gunzip.check_end()
    assert plain == data


def test_a_bomb_unpacks_in_small_pieces() -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    assert len(bomb) < 120_000
    assert max(map(len, Gunzip().feed(bomb))) <= 256 * 1024


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", "/home/user/a"),
        ("", "/home/user"),
        ("~", "/home/user"),
        ("~/a", "/home/user/a"),
        ("~other", "/home/user/~other"),
        ("/a/../b", "/b"),
        ("//a", "/a"),
        ("../../../../x", "/x"),
    ],
)
def test_paths_are_absolute_or_below_home(path: str, expected: str) -> None:
    assert resolve(path, USER) == Path(expected)


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic Og==", "Bearer dXNlcjo=", "Basic //79"])
def test_a_malformed_user_header_is_refused(header: str) -> None:
    with pytest.raises(ConnectError) as caught:
        Accounts("none", {"user": USER}).of_basic_auth(header)
    assert caught.value.code == "unauthenticated"


@pytest.mark.parametrize("payload", [b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
def test_a_message_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(ConnectError) as caught:
        parse(payload)
    assert caught.value.code == "invalid_argument"
