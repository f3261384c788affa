"""What is told of a sandbox: what it uses, over time, and what happened to it.

No SDK has a method for logs; E2B's generated client, which the Python SDK ships, has.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from e2b.api.client.api.sandboxes import (
    get_sandboxes_metrics,
    get_sandboxes_sandbox_id_logs,
    get_v_2_sandboxes_sandbox_id_logs,
    post_sandboxes_sandbox_id_refreshes,
)
from e2b.api.client.client import AuthenticatedClient
from e2b.api.client.models import (
    LogLevel,
    LogsDirection,
    SandboxLogs,
    SandboxLogsV2Response,
    SandboxRefreshRequest,
)
from e2b.exceptions import SandboxNotFoundException

from tests.conformance.conftest import ENGINE, Sdk, until
from tests.conformance.server import RunningServer

GIB = 1024**3


@pytest.fixture
async def client(sandbox_server: RunningServer) -> AsyncIterator[AuthenticatedClient]:
    """E2B's generated client."""
    made = AuthenticatedClient(
        sandbox_server.url, sandbox_server.api_key, auth_header_name="X-API-KEY", prefix=""
    )
    async with made:
        yield made


async def test_use_of_a_sandbox_is_measured(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "head -c 10M /dev/urandom | sha256sum")
    samples = await sdk(sandbox.get_metrics)
    sample = samples[-1]
    assert sample.cpu_count == 2
    # The bare engine forgets what ended processes used.
    assert max(each.cpu_used_pct for each in samples) > 0 or ENGINE == "bare"
    assert 0 < sample.mem_used < sample.mem_total == 2 * GIB
    assert 0 <= sample.disk_used < sample.disk_total == 10 * GIB
    assert 0 <= sample.mem_cache < sample.mem_total
    assert abs(datetime.now(UTC) - sample.timestamp) < timedelta(seconds=60)


async def test_use_is_told_over_time_and_within_a_span(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.get_metrics)
    await asyncio.sleep(1.1)
    samples = await sdk(sandbox.get_metrics)
    times = [each.timestamp for each in samples]
    assert len(times) >= 2
    assert times == sorted(times)
    hour = timedelta(hours=1)
    within = await sdk(sandbox.get_metrics, start=times[0] - hour, end=times[-1] + hour)
    assert len(within) >= 2
    assert within[0].timestamp == times[0]
    assert await sdk(sandbox.get_metrics, start=times[0] - 2 * hour, end=times[0] - hour) == []


async def test_use_of_what_is_gone_is_not_found(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.kill)
    with pytest.raises(SandboxNotFoundException):
        await sdk(sandbox.get_metrics)


@pytest.mark.local
class TestWithoutAnSdk:
    """Routes that only a client of one's own calls."""

    @pytest.fixture
    def sdk(self, sandbox_server: RunningServer) -> Sdk:
        from e2b import Sandbox  # noqa: PLC0415

        return Sdk(Sandbox, sandbox_server)

    async def test_use_of_several_sandboxes_is_told_at_once(
        self, sdk: Sdk, sandbox: Any, client: AuthenticatedClient
    ) -> None:
        other = await sdk.create()
        try:
            ids = [sandbox.sandbox_id, other.sandbox_id, "i0000000000000000000"]
            told = await get_sandboxes_metrics.asyncio(client=client, sandbox_ids=ids)
        finally:
            await sdk(other.kill)
        assert told is not None
        assert set(told.sandboxes) == set(ids[:2])  # type: ignore[union-attr]

    async def test_a_log_tells_what_happened_also_when_it_is_over(
        self, sdk: Sdk, client: AuthenticatedClient
    ) -> None:
        sandbox = await sdk.create(metadata={"word": "s3cret-1"}, envs={"WORD": "s3cret-2"})
        await sdk(sandbox.commands.run, "echo s3cret-3")
        await sdk(sandbox.files.write, "s3cret-4", "s3cret-5")
        await sdk(sandbox.pause)
        await sdk(sandbox.connect)
        await sdk(sandbox.kill)
        told = SandboxLogsV2Response([])

        async def ended() -> bool:
            nonlocal told
            answer = await get_v_2_sandboxes_sandbox_id_logs.asyncio(sandbox.sandbox_id, client=client)
            assert isinstance(answer, SandboxLogsV2Response)
            told = answer
            return any(each.message == "sandbox_ended" for each in told.logs)

        # A kill is answered when its signal is sent; the log tells of the end that follows.
        await until(ended)
        messages = [each.message for each in told.logs]
        wanted = ["sandbox_created", "sandbox_paused", "sandbox_resumed", "sandbox_ended"]
        assert [each for each in messages if each in wanted] == wanted
        calls = [each.fields.to_dict() for each in told.logs if each.message == "daemon_called"]
        assert {"method": "POST", "path": "/process.Process/Start", "status": "200"} in calls
        assert told.logs[-1].fields.to_dict()["reason"] == "killed"
        assert "s3cret" not in str(told.to_dict())

    async def test_a_log_can_be_read_in_either_direction_by_level_and_text(
        self, sdk: Sdk, sandbox: Any, client: AuthenticatedClient
    ) -> None:
        await sdk(sandbox.files.write, "a", "")

        async def messages(**query: Any) -> list[str]:
            told = await get_v_2_sandboxes_sandbox_id_logs.asyncio(sandbox.sandbox_id, client=client, **query)
            assert isinstance(told, SandboxLogsV2Response)
            return [each.message for each in told.logs]

        forward, backward = LogsDirection.FORWARD, LogsDirection.BACKWARD
        everything = await messages()
        assert await messages(direction=forward) == everything
        assert await messages(direction=backward) == everything[::-1]
        assert await messages(limit=1) == everything[:1]
        assert await messages(cursor=0) == everything
        assert await messages(cursor=0, direction=backward) == []
        assert "daemon_called" not in await messages(level=LogLevel.INFO)
        assert await messages(search="_called") == ["daemon_called"]
        assert await messages(search="_CALLED") == []

    async def test_the_old_route_tells_lines_and_entries(
        self, sandbox: Any, client: AuthenticatedClient
    ) -> None:
        told = await get_sandboxes_sandbox_id_logs.asyncio(
            sandbox.sandbox_id, client=client, start=0, limit=5
        )
        assert isinstance(told, SandboxLogs)
        assert len(told.logs) == len(told.log_entries) > 0
        assert "sandbox_created" in told.logs[-1].line
        assert [each.timestamp for each in told.logs] == [each.timestamp for each in told.log_entries]

    async def test_a_refresh_lengthens_and_never_shortens(
        self, sdk: Sdk, sandbox: Any, client: AuthenticatedClient
    ) -> None:
        async def ends_after(seconds: int) -> datetime:
            body = SandboxRefreshRequest(duration=seconds)
            answer = await post_sandboxes_sandbox_id_refreshes.asyncio_detailed(
                sandbox.sandbox_id, client=client, body=body
            )
            assert answer.status_code == 204
            end: datetime = (await sdk(sandbox.get_info)).end_at
            return end

        before = (await sdk(sandbox.get_info)).end_at
        assert await ends_after(10) == before
        assert await ends_after(1000) > before

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("/sandboxes/metrics", "sandbox_ids"),
            ("/sandboxes/{id}/metrics?start=x", "start"),
            ("/sandboxes/{id}/metrics?start=2&end=1", "start: must not be after end"),
            ("/sandboxes/{id}/logs?limit=1001", "limit"),
            ("/v2/sandboxes/{id}/logs?direction=up", "direction: must be one of forward, backward"),
            ("/v2/sandboxes/{id}/logs?level=loud", "level"),
            ("/v2/sandboxes/{id}/logs?cursor=-1", "cursor"),
            ("/v2/sandboxes?order=up", "order"),
        ],
    )
    async def test_a_question_that_makes_no_sense_names_its_part(
        self, sandbox: Any, sandbox_server: RunningServer, http: httpx.AsyncClient, path: str, message: str
    ) -> None:
        headers = {"X-API-KEY": sandbox_server.api_key}
        answer = await http.get(path.format(id=sandbox.sandbox_id), headers=headers)
        assert answer.status_code == 400
        assert message in answer.json()["message"]

    @pytest.mark.parametrize(
        "path", ["/sandboxes/{id}/logs", "/v2/sandboxes/{id}/logs", "/sandboxes/{id}/metrics"]
    )
    async def test_what_never_was_is_not_found(
        self, sandbox_server: RunningServer, http: httpx.AsyncClient, path: str
    ) -> None:
        headers = {"X-API-KEY": sandbox_server.api_key}
        answer = await http.get(path.format(id="i0000000000000000000"), headers=headers)
        assert answer.status_code == 404

    async def test_numbers_tell_how_long_making_a_sandbox_took_and_what_was_refused(
        self, sandbox: Any, http: httpx.AsyncClient
    ) -> None:
        assert sandbox
        await http.get("/v2/sandboxes")
        answer = await http.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        numbers = dict(
            line.rsplit(" ", 1) for line in answer.text.splitlines() if line and not line.startswith("#")
        )
        made = float(numbers["castari_sandboxes_created_total"])
        assert made == float(numbers["castari_sandbox_create_seconds_count"]) >= 1
        assert float(numbers['castari_sandbox_create_seconds_bucket{le="10.0"}']) <= made
        assert float(numbers['castari_sandbox_requests_refused_total{status="401"}']) >= 1
        assert float(numbers['castari_sandboxes{state="running"}']) >= 1
        assert float(numbers["castari_sandbox_pool"]) >= 0
