"""Forks: copies of a running sandbox, each with a life of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from e2b import SandboxException, SandboxNotFoundException

from tests.conformance.conftest import Sdk
from tests.conformance.server import RunningServer


@pytest.fixture
async def source(sdk: Sdk) -> AsyncIterator[Any]:
    """A sandbox with something to copy."""
    made = await sdk.create(envs={"A": "inherited"}, metadata={"forked": "yes"})
    await sdk(made.files.write, "file", "original")
    yield made
    await sdk(made.kill)


async def test_a_fork_has_the_files_the_variables_and_the_metadata(sdk: Sdk, source: Any) -> None:
    (fork,) = await sdk(source.fork)
    try:
        assert fork.sandbox_id != source.sandbox_id
        result = await sdk(fork.commands.run, "cat file; echo -$A")
        assert result.stdout == "original-inherited\n"
        assert (await sdk(fork.get_info)).metadata == {"forked": "yes"}
    finally:
        await sdk(fork.kill)


async def test_forks_and_their_source_do_not_see_each_other_s_changes(sdk: Sdk, source: Any) -> None:
    forks = await sdk(source.fork, count=2)
    everyone = [source, *forks]
    try:
        for number, each in enumerate(everyone):
            await sdk(each.files.write, "file", str(number))
        assert [await sdk(each.files.read, "file") for each in everyone] == ["0", "1", "2"]
    finally:
        await asyncio.gather(*(sdk(fork.kill) for fork in forks))


async def test_a_fork_can_be_forked_after_its_source_is_gone(sdk: Sdk, source: Any) -> None:
    (first,) = await sdk(source.fork)
    await sdk(source.kill)
    (second,) = await sdk(first.fork)
    await sdk(first.kill)
    assert await sdk(second.files.read, "file") == "original"
    await sdk(second.kill)


async def test_a_fork_lives_as_long_as_it_is_given(sdk: Sdk, source: Any) -> None:
    (fork,) = await sdk(source.fork, timeout=120)
    info = await sdk(fork.get_info)
    assert (info.end_at - info.started_at).total_seconds() == pytest.approx(120, abs=2)
    await sdk(fork.kill)


async def test_what_is_gone_can_not_be_forked(sdk: Sdk, source: Any) -> None:
    await sdk(source.kill)
    with pytest.raises(SandboxNotFoundException):
        await sdk(source.fork)


@pytest.mark.local
@pytest.mark.parametrize("wish", [{"count": 0}, {"count": 21}, {"timeout": 10**9}])
async def test_a_wish_beyond_the_limits_is_refused(
    source: Any, sandbox_server: RunningServer, http: httpx.AsyncClient, wish: dict[str, int]
) -> None:
    headers = {"X-API-KEY": sandbox_server.api_key}
    answer = await http.post(f"/sandboxes/{source.sandbox_id}/fork", json=wish, headers=headers)
    assert answer.status_code == 400


async def test_a_paused_sandbox_is_not_forked(sdk: Sdk, source: Any) -> None:
    await sdk(source.pause)
    with pytest.raises(SandboxException):
        await sdk(source.fork)
