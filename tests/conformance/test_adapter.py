"""The control plane's adapter against a real server: what it promises to services, held for this SDK."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.errors import CommandTimedOut, SandboxMissing, VendorUnavailable
from castari.models import SandboxAccess
from tests.conformance.server import RunningServer

pytestmark = pytest.mark.local

FRAME = """echo '{"castari": "%s"}'"""


@pytest.fixture
def sandboxes(sandbox_server: RunningServer) -> Sandboxes:
    return Sandboxes(
        uuid.uuid4().hex, SecretStr(sandbox_server.api_key), sandbox_server.url, sandbox_server.url
    )


@pytest.fixture
async def sandbox(sandboxes: Sandboxes) -> AsyncIterator[SandboxAccess]:
    made = await _create(sandboxes)
    yield made
    await sandboxes.kill(made.sandbox_id)


async def _create(sandboxes: Sandboxes, template: str = "base", **metadata: str) -> SandboxAccess:
    return await sandboxes.create(
        template, timeout_seconds=60, metadata=metadata, idempotency_key=uuid.uuid4().hex
    )


async def _frames(
    sandboxes: Sandboxes, access: SandboxAccess, command: str, *, seconds: float = 20, **environment: str
) -> list[str]:
    secret = {name: SecretStr(value) for name, value in environment.items()}
    running = await sandboxes.start(access, command, environment=secret, timeout_seconds=seconds)
    try:
        return [str(frame["castari"]) async for frame in running.frames()]
    finally:
        await running.let_go()


async def test_access_that_was_sealed_and_stored_starts_a_command_in_one_call(
    sandboxes: Sandboxes, sandbox: SandboxAccess
) -> None:
    sealer = Sealer(SecretStr("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
    opened = sealer.open(sandbox.sandbox_id, sealer.seal(sandbox))
    assert opened == sandbox
    assert await _frames(sandboxes, opened, FRAME % "hello") == ["hello"]


async def test_frames_come_as_they_are_printed_and_other_lines_are_no_frames(
    sandboxes: Sandboxes, sandbox: SandboxAccess
) -> None:
    command = f"{FRAME % 'one'}; echo noise; echo '[1]'; echo '{{}}'; echo '{{'; {FRAME % 'two'}; printf half"
    assert await _frames(sandboxes, sandbox, command) == ["one", "two"]


async def test_the_environment_reaches_the_command(sandboxes: Sandboxes, sandbox: SandboxAccess) -> None:
    command = """printf '{"castari": "%s"}\n' "$COLOUR" """
    assert await _frames(sandboxes, sandbox, command, COLOUR="red") == ["red"]


async def test_a_command_past_its_time_is_told_apart(sandboxes: Sandboxes, sandbox: SandboxAccess) -> None:
    with pytest.raises(CommandTimedOut):
        await _frames(sandboxes, sandbox, "sleep 30", seconds=0.5)


async def test_a_command_that_is_left_alone_runs_on_and_others_can_speak_with_it(
    sandboxes: Sandboxes, sandbox: SandboxAccess
) -> None:
    await sandboxes.begin(sandbox, "mkfifo call answer; echo $$ > ready; exec tr a-z A-Z < call > answer")
    ask = f"until [[ -s ready ]]; do sleep 0.01; done; {FRAME % 'said'} > call; cat answer"
    assert await _frames(sandboxes, sandbox, f"{ask} | tr A-Z a-z") == ["said"]


async def test_a_command_in_a_sandbox_that_is_gone_does_not_begin(
    sandboxes: Sandboxes, sandbox: SandboxAccess
) -> None:
    await sandboxes.kill(sandbox.sandbox_id)
    with pytest.raises(SandboxMissing):
        await sandboxes.begin(sandbox, "sleep 60")


async def test_a_command_that_ends_badly_just_ends(sandboxes: Sandboxes, sandbox: SandboxAccess) -> None:
    assert await _frames(sandboxes, sandbox, f"{FRAME % 'one'}; kill -9 $$") == ["one"]


async def test_a_sandbox_killed_meanwhile_is_missing(sandboxes: Sandboxes) -> None:
    access = await _create(sandboxes)
    running = await sandboxes.start(access, "sleep 30", environment={}, timeout_seconds=20)
    await sandboxes.kill(access.sandbox_id)
    with pytest.raises(SandboxMissing):
        async with asyncio.timeout(10):
            assert [frame async for frame in running.frames()] == []
    await running.let_go()


async def test_letting_go_leaves_the_command_running(sandboxes: Sandboxes, sandbox: SandboxAccess) -> None:
    running = await sandboxes.start(sandbox, "sleep 0.3; touch ~/done", environment={}, timeout_seconds=20)
    await running.let_go()
    wait = f"until test -e ~/done; do sleep 0.05; done; {FRAME % 'done'}"
    assert await _frames(sandboxes, sandbox, wait) == ["done"]


async def test_a_start_in_a_sandbox_that_is_gone_began_nothing(sandboxes: Sandboxes) -> None:
    access = await _create(sandboxes)
    assert await sandboxes.kill(access.sandbox_id)
    with pytest.raises(SandboxMissing):
        await sandboxes.start(access, "true", environment={}, timeout_seconds=20)
    assert not await sandboxes.kill(access.sandbox_id)
    with pytest.raises(SandboxMissing):
        await sandboxes.set_timeout(access.sandbox_id, 10)


async def test_a_server_that_is_not_there_began_nothing(sandbox: SandboxAccess) -> None:
    nowhere = Sandboxes("d", SecretStr("k"), "http://127.0.0.1:9", "http://127.0.0.1:9")
    with pytest.raises(VendorUnavailable):
        await nowhere.start(sandbox, "true", environment={}, timeout_seconds=5)
    with pytest.raises(VendorUnavailable):
        await _create(nowhere)
    with pytest.raises(VendorUnavailable):
        await nowhere.kill(sandbox.sandbox_id)


async def test_a_wrong_key_is_the_operators_to_mend(sandbox_server: RunningServer) -> None:
    wrong = Sandboxes("d", SecretStr("e2b_wrong"), sandbox_server.url, sandbox_server.url)
    with pytest.raises(VendorUnavailable, match="refuses the platform's key"):
        await _create(wrong)


async def test_an_unknown_template_is_missing(sandboxes: Sandboxes) -> None:
    with pytest.raises(SandboxMissing):
        await _create(sandboxes, "no-such-template")


async def test_the_same_key_gives_the_same_sandbox(sandboxes: Sandboxes) -> None:
    key = uuid.uuid4().hex
    first, second = [
        await sandboxes.create("base", timeout_seconds=60, metadata={}, idempotency_key=key) for _ in range(2)
    ]
    assert first == second
    await sandboxes.kill(first.sandbox_id)


async def test_a_snapshot_starts_where_its_sandbox_was(sandboxes: Sandboxes, sandbox: SandboxAccess) -> None:
    await _frames(sandboxes, sandbox, "echo kept > ~/kept")
    snapshot_id = await sandboxes.snapshot(sandbox.sandbox_id)
    copy = await _create(sandboxes, snapshot_id)
    assert await _frames(sandboxes, copy, f"test -e ~/kept && {FRAME % 'kept'}") == ["kept"]
    await sandboxes.kill(copy.sandbox_id)
    await sandboxes.delete_snapshot(snapshot_id)
    await sandboxes.delete_snapshot(snapshot_id)


async def test_only_sandboxes_of_the_deployment_are_listed(
    sandboxes: Sandboxes, sandbox_server: RunningServer
) -> None:
    other = Sandboxes(
        uuid.uuid4().hex, SecretStr(sandbox_server.api_key), sandbox_server.url, sandbox_server.url
    )
    ours, theirs = await _create(sandboxes, kind="warm", agent_id="a 1&2"), await _create(other, kind="warm")
    (listed,) = [each async for each in sandboxes.list()]
    assert listed.sandbox_id == ours.sandbox_id
    assert listed.metadata == {"castari": sandboxes.deployment, "kind": "warm", "agent_id": "a 1&2"}
    assert 50 < (listed.ends_at - listed.started_at).total_seconds() <= 61
    assert [each.sandbox_id async for each in sandboxes.list(agent_id="a 1&2")] == [ours.sandbox_id]
    assert [each async for each in sandboxes.list(kind="run")] == []
    for access in (ours, theirs):
        await sandboxes.kill(access.sandbox_id)
