"""The server that answers at once, by which the benches tell the SDK's own time."""

from hypothesis import given
from hypothesis import strategies as st

from bench.cycles import cycle
from bench.instant import instant_server, request_length

REQUEST = b"POST /sandboxes HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\nbody"


def test_the_unmodified_sdk_makes_uses_and_kills_a_sandbox_of_it() -> None:
    with instant_server() as client:
        cycle(client)
        sandbox = client.Sandbox.create(timeout=60)
        assert sandbox.commands.run("anything").stdout == "x\n"
        assert sandbox.kill()


@given(st.integers(0, len(REQUEST)))
def test_a_request_is_as_long_as_its_head_says_once_that_is_there(cut: int) -> None:
    head_is_there = cut >= len(REQUEST) - len(b"body")
    assert request_length(REQUEST[:cut]) == (len(REQUEST) if head_is_there else None)


def test_a_request_without_a_body_ends_with_its_head() -> None:
    head = b"DELETE /sandboxes/i HTTP/1.1\r\n\r\n"
    assert request_length(head + REQUEST) == len(head)
