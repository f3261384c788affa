"""The control plane: sandboxes made, found, timed, paused, kept and ended."""

import asyncio
import re
import secrets
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from e2b import (
    AuthenticationException,
    RateLimitException,
    SandboxException,
    SandboxQuery,
    SandboxState,
)
from e2b.exceptions import SandboxNotFoundException, SandboxNotRunningException

from tests.conformance.conftest import ENGINE, Sdk
from tests.conformance.server import running_server


async def test_an_id_looks_like_e2b_s(sandbox: Any) -> None:
    assert re.fullmatch(r"i[a-z0-9]{19}", sandbox.sandbox_id)


@pytest.mark.local
async def test_a_new_sandbox_describes_itself(sdk: Sdk) -> None:
    sandbox = await sdk.create(metadata={"owner": "me"}, timeout=120)
    try:
        info = await sdk(sandbox.get_info)
    finally:
        await sdk(sandbox.kill)
    assert (info.sandbox_id, info.metadata, info.state) == (
        sandbox.sandbox_id,
        {"owner": "me"},
        SandboxState.RUNNING,
    )
    assert (info.template_id, info.name, info.cpu_count, info.memory_mb) == ("castari-base", "base", 2, 2048)
    assert 110 <= (info.end_at - info.started_at).total_seconds() <= 121


async def test_the_time_to_live_is_five_minutes_unless_given(sdk: Sdk, sandbox: Any) -> None:
    info = await sdk(sandbox.get_info)
    assert 299 <= (info.end_at - info.started_at).total_seconds() <= 301


@pytest.mark.local
async def test_an_unknown_template_is_named(sdk: Sdk) -> None:
    with pytest.raises(SandboxException, match="template 'no-such' not found") as caught:
        await sdk.create("no-such")
    assert caught.value.status_code == 404


@pytest.mark.local
async def test_a_wrong_key_is_an_authentication_error(sdk: Sdk) -> None:
    with pytest.raises(AuthenticationException, match="X-API-KEY"):
        await sdk.create(api_key="e2b_ffffffffffffffff")


@pytest.mark.local
async def test_a_time_to_live_over_a_day_is_refused(sdk: Sdk) -> None:
    with pytest.raises(SandboxException, match="86400 s is the most"):
        await sdk.create(timeout=86401)


@pytest.mark.local
@pytest.mark.parametrize(
    "options",
    [{"mcp": {"x": {}}}, {"volume_mounts": {"/mnt": "volume"}}],
    ids=["mcp", "volumes"],
)
async def test_what_is_left_out_is_refused_and_not_ignored(sdk: Sdk, options: dict[str, Any]) -> None:
    with pytest.raises(SandboxException, match="not supported by the local sandbox server") as caught:
        await sdk.create(**options)
    assert caught.value.status_code == 501


async def test_a_sandbox_is_killed_once(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    assert await sdk(sandbox.kill) is True
    assert await sdk(sandbox.kill) is False
    assert await sdk(sandbox.is_running) is False


async def test_a_killed_sandbox_is_not_found_and_not_running(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.kill)
    with pytest.raises(SandboxNotFoundException):
        await sdk(sandbox.get_info)
    with pytest.raises(SandboxNotFoundException):
        await sdk(sandbox.set_timeout, 10)
    with pytest.raises(SandboxNotRunningException):
        await sdk(sandbox.commands.run, "true")
    with pytest.raises(SandboxNotRunningException):
        await sdk(sandbox.files.read, "a")


async def test_a_sandbox_ends_when_its_time_is_over(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    assert await sdk(sandbox.is_running)
    await sdk(sandbox.set_timeout, 0)
    await _until(lambda: _is_gone(sdk, sandbox))


async def test_setting_the_timeout_counts_from_now(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.set_timeout, 1000)
    end_at = (await sdk(sandbox.get_info)).end_at
    assert 990 <= (end_at - datetime.now(UTC)).total_seconds() <= 1000


async def test_connecting_never_shortens_and_may_lengthen(sdk: Sdk, sandbox: Any) -> None:
    before = (await sdk(sandbox.get_info)).end_at
    await sdk(sdk.sandbox_class.connect, sandbox.sandbox_id, timeout=10, **sdk.server.options)
    assert (await sdk(sandbox.get_info)).end_at == before
    await sdk(sdk.sandbox_class.connect, sandbox.sandbox_id, timeout=900, **sdk.server.options)
    assert (await sdk(sandbox.get_info)).end_at > before


async def test_a_connected_sandbox_works(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "shared")
    other = await sdk(sdk.sandbox_class.connect, sandbox.sandbox_id, **sdk.server.options)
    assert await sdk(other.files.read, "a") == "shared"


async def test_connecting_to_what_never_was_is_not_found(sdk: Sdk) -> None:
    with pytest.raises(SandboxNotFoundException):
        await sdk(sdk.sandbox_class.connect, "i0000000000000000000", **sdk.server.options)


async def test_a_list_is_filtered_by_metadata(sdk: Sdk) -> None:
    tag = uuid.uuid4().hex
    wanted = {"tag": tag, "note": "a b&c=d%e é"}
    one, two = await sdk.create(metadata=wanted), await sdk.create(metadata={"tag": tag})
    try:
        assert await _ids(sdk, metadata=wanted) == [one.sandbox_id]
        assert await _ids(sdk, metadata={"tag": tag}) == [two.sandbox_id, one.sandbox_id]
        assert await _ids(sdk, metadata={"tag": "other"}) == []
    finally:
        await asyncio.gather(sdk(one.kill), sdk(two.kill))


async def test_a_list_comes_in_pages_in_either_order(sdk: Sdk) -> None:
    tag = uuid.uuid4().hex
    made = [await sdk.create(metadata={"tag": tag}) for _ in range(5)]
    ids = [sandbox.sandbox_id for sandbox in made]
    try:
        assert await _ids(sdk, metadata={"tag": tag}, limit=2, order="asc") == ids
        assert await _ids(sdk, metadata={"tag": tag}, limit=2, order="desc") == ids[::-1]
        assert await _ids(sdk, metadata={"tag": tag}, limit=2) == ids[::-1]
    finally:
        await asyncio.gather(*(sdk(sandbox.kill) for sandbox in made))


async def test_a_list_is_filtered_by_state(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.pause)
    assert sandbox.sandbox_id in await _ids(sdk, state=[SandboxState.PAUSED])
    assert sandbox.sandbox_id not in await _ids(sdk, state=[SandboxState.RUNNING])


async def test_a_list_is_filtered_by_template(sdk: Sdk, sandbox: Any) -> None:
    snapshot = await sdk(sandbox.create_snapshot)
    copy = await sdk.create(snapshot.snapshot_id)
    try:
        named = snapshot.snapshot_id.partition(":")[0]
        assert await _ids(sdk, template=named) == [copy.sandbox_id]
        assert sandbox.sandbox_id in await _ids(sdk, template="base")
        assert copy.sandbox_id not in await _ids(sdk, template="base")
    finally:
        await sdk(copy.kill)
        await _delete_snapshot(sdk, snapshot.snapshot_id)


async def test_a_list_is_filtered_by_start(sdk: Sdk) -> None:
    tag = uuid.uuid4().hex
    made = [await sdk.create(metadata={"tag": tag}) for _ in range(2)]
    try:
        older, newer = [(await sdk(each.get_info)).started_at for each in made]
        ids = [each.sandbox_id for each in made]
        assert await _ids(sdk, metadata={"tag": tag}, started_after=older, order="asc") == ids
        assert ids[0] not in await _ids(sdk, metadata={"tag": tag}, started_after=newer)
    finally:
        await asyncio.gather(*(sdk(each.kill) for each in made))


async def test_the_same_idempotency_key_makes_one_sandbox(sdk: Sdk) -> None:
    key = str(uuid.uuid4())
    made = await asyncio.gather(*(sdk.create(idempotency_key=key) for _ in range(3)))
    try:
        assert len({sandbox.sandbox_id for sandbox in made}) == 1
        with pytest.raises(SandboxException, match="another body"):
            await sdk.create(idempotency_key=key, timeout=77)
    finally:
        assert await sdk(made[0].kill)


async def test_a_paused_sandbox_keeps_its_processes_and_resumes_on_connect(sdk: Sdk, sandbox: Any) -> None:
    script = "while ! [ -e go ]; do sleep 0.05; done; echo went > result"
    await sdk(sandbox.commands.run, script, background=True, timeout=0)
    assert await sdk(sandbox.pause) is True
    assert await sdk(sandbox.pause) is False
    assert await sdk(sandbox.is_running) is False
    assert (await sdk(sandbox.get_info)).state == SandboxState.PAUSED
    await sdk(sandbox.connect)
    assert (await sdk(sandbox.get_info)).state == SandboxState.RUNNING
    await sdk(sandbox.files.write, "go", "")
    result = await sdk(sandbox.commands.run, "while ! [ -s result ]; do sleep 0.05; done; cat result")
    assert result.stdout == "went\n"


async def test_a_pause_by_its_older_name_pauses_too(sdk: Sdk, sandbox: Any) -> None:
    assert await sdk(sandbox.beta_pause) is True
    assert (await sdk(sandbox.get_info)).state == SandboxState.PAUSED


async def test_a_sandbox_that_answers_can_be_paused_strictly(sdk: Sdk, sandbox: Any) -> None:
    assert await sdk(sandbox.pause, strict=True) is True


async def _processes(sdk: Sdk, sandbox: Any) -> int:
    return len(await sdk(sandbox.commands.list))


async def test_a_pause_without_memory_keeps_files_environment_and_token_and_ends_processes(sdk: Sdk) -> None:
    sandbox = await sdk.create(envs={"WORD": "kept"}, metadata={"a": "b"})
    try:
        await sdk(sandbox.files.write, "file", "kept")
        await sdk(sandbox.commands.run, "sleep 600", background=True, timeout=0)
        assert await sdk(sandbox.pause, keep_memory=False) is True
        assert await sdk(sandbox.pause, keep_memory=False) is False
        assert await sdk(sandbox.is_running) is False
        assert (await sdk(sandbox.get_info)).state == SandboxState.PAUSED
        await sdk(sandbox.connect)
        assert (await sdk(sandbox.commands.run, "cat file; echo $WORD")).stdout == "keptkept\n"
        assert await _processes(sdk, sandbox) == 0
        assert (await sdk(sandbox.get_info)).metadata == {"a": "b"}
        await sdk(sandbox.files.write, "file", "changed")
        await sdk(sandbox.pause, keep_memory=False)
        await sdk(sandbox.connect)
        assert await sdk(sandbox.files.read, "file") == "changed"
    finally:
        assert await sdk(sandbox.kill) is True


async def test_a_sandbox_can_be_started_anew_though_its_memory_was_kept(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "file", "kept")
    await sdk(sandbox.commands.run, "sleep 600", background=True, timeout=0)
    await sdk(sandbox.connect, on_resume="reboot")  # What runs goes on.
    assert await _processes(sdk, sandbox) == 1
    await sdk(sandbox.pause)
    await sdk(sandbox.connect, on_resume="reboot")
    assert await _processes(sdk, sandbox) == 0
    assert await sdk(sandbox.files.read, "file") == "kept"


async def test_a_sandbox_may_keep_its_disk_alone_when_its_time_is_over(sdk: Sdk) -> None:
    lifecycle = {"on_timeout": {"action": "pause", "keep_memory": False}}
    sandbox = await sdk.create(lifecycle=lifecycle)
    try:
        await sdk(sandbox.files.write, "file", "kept")
        await sdk(sandbox.set_timeout, 0)
        await _until(lambda: _has_state(sdk, sandbox, SandboxState.PAUSED))
        with pytest.raises(SandboxNotRunningException):
            await sdk(sandbox.files.read, "file")
        await sdk(sandbox.connect)
        assert await sdk(sandbox.files.read, "file") == "kept"
    finally:
        await sdk(sandbox.kill)


async def test_a_sandbox_of_which_only_the_disk_is_kept_can_be_killed(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.pause, keep_memory=False)
    assert await sdk(sandbox.kill) is True
    assert await sdk(sandbox.kill) is False


async def test_a_paused_sandbox_can_be_killed(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.pause)
    assert await sdk(sandbox.kill) is True


async def test_a_sandbox_may_pause_when_its_time_is_over(sdk: Sdk) -> None:
    sandbox = await sdk.create(lifecycle={"on_timeout": "pause"})
    try:
        await sdk(sandbox.set_timeout, 0)
        await _until(lambda: _has_state(sdk, sandbox, SandboxState.PAUSED))
        assert (await sdk(sandbox.get_info)).lifecycle["on_timeout"] == "pause"
    finally:
        await sdk(sandbox.kill)


async def test_a_snapshot_starts_sandboxes_with_its_files(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "kept")
    snapshot = await sdk(sandbox.create_snapshot)
    await sdk(sandbox.files.write, "a", "changed later")
    copies = await asyncio.gather(*(sdk.create(snapshot.snapshot_id) for _ in range(2)))
    try:
        await sdk(copies[0].files.write, "a", "changed in a copy")
        assert await sdk(copies[1].files.read, "a") == "kept"
        assert await sdk(sandbox.files.read, "a") == "changed later"
    finally:
        await asyncio.gather(*(sdk(copy.kill) for copy in copies))
        assert await _delete_snapshot(sdk, snapshot.snapshot_id)


async def test_snapshots_stand_on_each_other_and_outlive_each_other(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "one", "1")
    first = await sdk(sandbox.create_snapshot)
    middle = await sdk.create(first.snapshot_id)
    await sdk(middle.files.write, "two", "2")
    second = await sdk(middle.create_snapshot)
    await sdk(middle.kill)
    assert await _delete_snapshot(sdk, first.snapshot_id)
    top = await sdk.create(second.snapshot_id)
    try:
        assert (await sdk(top.commands.run, "cat one two")).stdout == "12"
    finally:
        await sdk(top.kill)
        await _delete_snapshot(sdk, second.snapshot_id)


async def test_a_snapshot_is_deleted_once_and_is_no_template_then(sdk: Sdk, sandbox: Any) -> None:
    snapshot = await sdk(sandbox.create_snapshot)
    assert await _delete_snapshot(sdk, snapshot.snapshot_id) is True
    assert await _delete_snapshot(sdk, snapshot.snapshot_id) is False
    with pytest.raises(SandboxException, match="not found"):
        await sdk.create(snapshot.snapshot_id)


async def test_snapshots_of_a_sandbox_are_listed_in_pages(sdk: Sdk, sandbox: Any) -> None:
    made = [await sdk(sandbox.create_snapshot) for _ in range(3)]
    pages, listed = await sdk(sandbox.list_snapshots, limit=2), []
    while pages.has_next:
        listed += await sdk(pages.next_items)
    assert [each.snapshot_id for each in listed] == [each.snapshot_id for each in made]
    for each in made:
        await _delete_snapshot(sdk, each.snapshot_id)


async def test_a_named_snapshot_can_be_used_by_its_name(sdk: Sdk, sandbox: Any) -> None:
    name = f"snap-{uuid.uuid4().hex}"
    snapshot = await sdk(sandbox.create_snapshot, name=name)
    assert snapshot.names == [f"{name}:default"]
    for reference in (name, f"{name}:default"):
        made = await sdk.create(reference)
        await sdk(made.kill)
    assert await _delete_snapshot(sdk, f"{name}:default")


@pytest.mark.local
async def test_the_number_of_sandboxes_is_limited(sdk: Sdk, tmp_path: Path) -> None:
    with running_server(tmp_path, "--max-sandboxes", "1", engine=ENGINE) as server:
        made = await sdk.create(**server.options)
        with pytest.raises(RateLimitException, match=r"maximum number of concurrent E2B sandboxes \(1\)"):
            await sdk.create(**server.options, retries=0)
        await sdk(made.kill)
        await sdk((await sdk.create(**server.options)).kill)


@pytest.mark.local
async def test_snapshots_survive_a_crash_of_the_server_and_sandboxes_do_not(sdk: Sdk, tmp_path: Path) -> None:
    instance = secrets.token_hex(4)
    with running_server(tmp_path, engine=ENGINE, instance=instance) as server:
        sandbox = await sdk.create(**server.options)
        await sdk(sandbox.files.write, "a", "kept")
        snapshot = await sdk(sandbox.create_snapshot)
        server.process.kill()
        server.process.wait(30)
    with running_server(tmp_path, engine=ENGINE, instance=instance) as server:
        with pytest.raises(SandboxNotFoundException):
            await sdk(sdk.sandbox_class.connect, sandbox.sandbox_id, **server.options)
        again = await sdk.create(snapshot.snapshot_id, **server.options)
        assert await sdk(again.files.read, "a") == "kept"


async def _ids(sdk: Sdk, **options: Any) -> list[str]:
    paging = {name: options.pop(name) for name in ("limit", "order") if name in options}
    pages = await sdk(sdk.sandbox_class.list, SandboxQuery(**options), **paging, **sdk.server.options)
    found: list[str] = []
    while pages.has_next:
        items = await sdk(pages.next_items)
        assert len(items) <= paging.get("limit", 100)
        found += [each.sandbox_id for each in items]
    return found


async def _delete_snapshot(sdk: Sdk, snapshot_id: str) -> bool:
    return bool(await sdk(sdk.sandbox_class.delete_snapshot, snapshot_id, **sdk.server.options))


async def _is_gone(sdk: Sdk, sandbox: Any) -> bool:
    return not await sdk(sandbox.is_running)


async def _has_state(sdk: Sdk, sandbox: Any, state: SandboxState) -> bool:
    return bool((await sdk(sandbox.get_info)).state == state)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)
