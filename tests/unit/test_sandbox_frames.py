"""Framed messages, however the network cuts them."""

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.envd.connect import frame, read_frames
from local.sandboxes.envd.errors import ConnectError

END = 2
MESSAGES = st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=3), max_size=4)


def read(chunks: Sequence[bytes]) -> list[object]:
    """The messages of a stream that arrives in these pieces, each once the one before was read."""

    async def arrive(content: StreamReader) -> None:
        for chunk in chunks:
            content.feed_data(chunk)
            await asyncio.sleep(0)
        content.feed_eof()

    async def all_of_it() -> list[object]:
        content = StreamReader(Mock(), 2**16, loop=asyncio.get_running_loop())
        arriving = asyncio.ensure_future(arrive(content))
        try:
            return [message async for message in read_frames(content)]
        finally:
            await arriving

    return asyncio.run(all_of_it())


def frames(messages: Sequence[object]) -> bytes:
    return b"".join(frame(json.dumps(message).encode()) for message in messages)


@given(MESSAGES, st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_messages_are_the_same_however_they_are_cut(
    messages: list[object], cuts: list[int], has_end: bool
) -> None:
    stream = frames(messages) + (frame(b"{}", END) + b"more" if has_end else b"")
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[begin:end] for begin, end in pairwise(edges) if begin < end]
    assert read(chunks) == messages


@given(MESSAGES.filter(bool), st.integers(1, 400))
def test_a_stream_that_ends_within_a_message_is_refused(messages: list[object], missing: int) -> None:
    whole = frames(messages)
    *before, last = messages
    kept = len(frames(before)) + max(1, len(frames([last])) - missing)
    with pytest.raises(ConnectError, match="ends within a message"):
        read([whole[:kept]])


def test_a_length_beyond_the_limit_is_refused_before_any_of_it_is_kept() -> None:
    with pytest.raises(ConnectError) as refused:
        read([b"\0\xff\xff\xff\xff" + b"x" * 100])
    assert refused.value.code == "resource_exhausted"


def test_a_compressed_message_is_refused() -> None:
    with pytest.raises(ConnectError, match="compressed"):
        read([frame(b"{}", 1)])
