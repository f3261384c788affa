"""Templates that are built while their caller does something else, and steps that the SDK words itself."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import ENGINE, Sdk, step, until

pytestmark = [
    pytest.mark.local,
    pytest.mark.root,
    pytest.mark.skipif(ENGINE != "namespaces", reason="steps are only taken in real sandboxes: needs root"),
]

BASE = step("from_base_image")


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4().hex}"


async def test_a_build_is_followed_until_it_is_ready(sdk: Sdk, name: str) -> None:
    build = await _begin(sdk, name, step("run_cmd", f"echo {name}"))
    seen = await _follow(sdk, build)
    assert seen[-1] == "ready"
    assert set(seen) <= {"waiting", "building", "ready"}
    told = await sdk.templates("get_build_status", build)
    assert [each.message for each in told.log_entries].count(name) == 1


async def test_the_log_of_a_build_is_read_on_from_where_one_was(sdk: Sdk, name: str) -> None:
    build = await _begin(sdk, name, step("run_cmd", "echo one"), step("run_cmd", "echo two"))
    await _follow(sdk, build)
    whole = (await sdk.templates("get_build_status", build)).log_entries
    rest = (await sdk.templates("get_build_status", build, logs_offset=2)).log_entries
    assert [each.message for each in rest] == [each.message for each in whole][2:]


async def test_a_build_that_failed_says_why_when_asked(sdk: Sdk, name: str) -> None:
    build = await _begin(sdk, name, step("run_cmd", "echo the reason >&2; exit 5"))
    assert (await _follow(sdk, build))[-1] == "error"
    told = await sdk.templates("get_build_status", build)
    assert "exit code 5" in told.reason.message
    assert "the reason" in told.reason.message


async def test_an_alias_exists_once_it_is_built(sdk: Sdk, name: str) -> None:
    assert await sdk.templates("alias_exists", name) is False
    await sdk.build(name, BASE)
    assert await sdk.templates("alias_exists", name) is True


async def test_folders_links_and_names_are_made_and_removed(sdk: Sdk, name: str) -> None:
    steps = (
        step("make_dir", "made/deep"),
        step("run_cmd", "echo x > made/old"),
        step("rename", "made/old", "made/new"),
        step("make_symlink", "new", "made/link"),
        step("run_cmd", "touch gone"),
        step("remove", "gone"),
    )
    assert await _in_sandbox(
        sdk, name, steps, "cat made/link; ls -d made/deep; ls gone made/old 2>&1 | wc -l"
    ) == ("x\nmade/deep\n2\n")


async def test_several_files_are_copied_in_one_call(sdk: Sdk, name: str, tmp_path: Path) -> None:
    for each in ("a", "b"):
        (tmp_path / each).write_text(each)
    items = [{"src": "a", "dest": "first"}, {"src": "b", "dest": "second"}]
    steps = (step("copy_items", items),)
    assert await _in_sandbox(sdk, name, steps, "cat first second", str(tmp_path)) == "ab"


async def test_a_ready_command_is_asked_until_it_agrees(sdk: Sdk, name: str) -> None:
    steps = (step("set_ready_cmd", "echo x >> asked; test $(wc -l < asked) -ge 3"),)
    assert await _in_sandbox(sdk, name, steps, "cat asked") == "x\nx\nx\n"


async def _in_sandbox(sdk: Sdk, name: str, steps: tuple[Any, ...], command: str, context: str = "") -> str:
    await sdk.build(name, BASE, *steps, context=context)
    sandbox = await sdk.create(name)
    try:
        return str((await sdk(sandbox.commands.run, command)).stdout)
    finally:
        await sdk(sandbox.kill)


async def _begin(sdk: Sdk, name: str, *steps: Any) -> Any:
    return await sdk.build(name, BASE, *steps, call="build_in_background")


async def _follow(sdk: Sdk, build: Any) -> list[str]:
    """Every status that was seen until the last."""
    seen: list[str] = []

    async def is_over() -> bool:
        status = (await sdk.templates("get_build_status", build)).status
        seen.append(getattr(status, "value", status))
        return seen[-1] in ("ready", "error")

    await until(is_over)
    return seen
