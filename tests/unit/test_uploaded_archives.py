"""Archives for COPY steps are kept as long as builds ask for them, and no longer."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.sandboxes.server.builds.archives import KEPT_SECONDS, Archives


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for each in given:
        yield each


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    return Archives(tmp_path / "uploads", "key")


def age(archives: Archives, files_hash: str) -> None:
    then = time.time() - KEPT_SECONDS - 60
    os.utime(archives.path(files_hash), (then, then))


async def test_an_archive_is_there_once_it_is_whole(archives: Archives) -> None:
    assert archives.has("a" * 16) is False
    await archives.store("a" * 16, chunks(b"one", b"two"))
    assert archives.has("a" * 16) is True
    assert b"".join([each async for each in archives.read("a" * 16)]) == b"onetwo"


async def test_what_nobody_asked_for_goes_with_the_next_upload(archives: Archives) -> None:
    for each in ("a" * 16, "b" * 16):
        await archives.store(each, chunks(b"x"))
        age(archives, each)
    assert archives.has("b" * 16)
    await archives.store("c" * 16, chunks(b"x"))
    assert [archives.has(each * 16) for each in "abc"] == [False, True, True]


async def test_what_a_crash_left_half_goes_too(archives: Archives, tmp_path: Path) -> None:
    await archives.store("a" * 16, chunks(b"x"))
    left = tmp_path / "uploads" / "partial-0"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    await archives.store("a" * 16, chunks(b"x"))
    assert not left.exists()
