"""Sandboxes that resume when somebody uses them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from e2b.exceptions import SandboxNotRunningException

from tests.conformance.conftest import Sdk


@pytest.fixture
async def paused(sdk: Sdk) -> AsyncIterator[Any]:
    """A paused sandbox that wants to be resumed by its use."""
    made = await sdk.create(timeout=120, lifecycle={"on_timeout": "pause", "auto_resume": True})
    await sdk(made.files.write, "file", "kept")
    await sdk(made.pause)
    yield made
    await sdk(made.kill)


async def test_a_command_resumes_a_sandbox(sdk: Sdk, paused: Any) -> None:
    assert (await sdk(paused.commands.run, "cat file")).stdout == "kept"
    info = await sdk(paused.get_info)
    assert info.state.value == "running"


async def test_a_file_call_resumes_a_sandbox(sdk: Sdk, paused: Any) -> None:
    assert await sdk(paused.files.read, "file") == "kept"


async def test_a_signed_url_resumes_a_sandbox(sdk: Sdk, paused: Any) -> None:
    url = await sdk(paused.download_url, "file")
    async with httpx.AsyncClient() as http:
        assert (await http.get(url)).text == "kept"


async def test_to_ask_for_a_sandbox_does_not_resume_it(sdk: Sdk, paused: Any) -> None:
    assert await sdk(paused.is_running) is False
    assert (await sdk(paused.get_info)).state.value == "paused"


@pytest.mark.local
async def test_a_wrong_token_does_not_resume_a_sandbox(
    sdk: Sdk, paused: Any, http: httpx.AsyncClient
) -> None:
    headers = {"E2b-Sandbox-Id": paused.sandbox_id, "X-Access-Token": "wrong"}
    assert (await http.get("/envs", headers=headers)).status_code == 401
    assert (await sdk(paused.get_info)).state.value == "paused"


async def test_without_the_wish_a_paused_sandbox_stays_paused(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.pause)
    with pytest.raises(SandboxNotRunningException):
        await sdk(sandbox.commands.run, "true")
    assert (await sdk(sandbox.get_info)).state.value == "paused"
