"""Templates: built from steps, kept, tagged, and what sandboxes made from them are like."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from e2b import SandboxException, Template
from e2b.exceptions import BuildException

from base_template.build import describe
from local.sandboxes.definition import load_definition
from tests.conformance.conftest import ENGINE, Sdk, step

pytestmark = [
    pytest.mark.local,
    pytest.mark.root,
    pytest.mark.skipif(ENGINE != "namespaces", reason="steps are only taken in real sandboxes: needs root"),
]

BASE = step("from_base_image")
READY = "until [ -e /tmp/up ]; do sleep 0.05; done"


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4().hex}"


@pytest.fixture
async def made(sdk: Sdk, name: str) -> AsyncIterator[Any]:
    """Makes sandboxes out of templates, and ends them with the test."""
    sandboxes = []

    async def make(*steps: Any, context: str = "", envs: dict[str, str] | None = None, **options: Any) -> Any:
        await sdk.build(name, BASE, *steps, context=context, **options)
        sandboxes.append(await sdk.create(name, **({"envs": envs} if envs else {})))
        return sandboxes[-1]

    yield make
    for sandbox in sandboxes:
        await sdk(sandbox.kill)


@pytest.fixture
def context(tmp_path: Path) -> str:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "a.txt").write_text("A")
    (tmp_path / "folder" / ".hidden").write_text("H")
    (tmp_path / "folder" / "deep" / "b.txt").write_text("B")
    (tmp_path / "script").write_text("echo ran")
    return str(tmp_path)


async def output(sdk: Sdk, sandbox: Any, command: str, **options: Any) -> str:
    return str((await sdk(sandbox.commands.run, command, **options)).stdout)


async def test_a_step_runs_as_the_user_at_home(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("run_cmd", "id -un > who; pwd >> who"))
    assert await sdk(sandbox.files.read, "who") == "user\n/home/user\n"


async def test_a_step_can_run_as_root(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("run_cmd", "id -u > /etc/made-by", user="root"))
    assert await sdk(sandbox.files.read, "/etc/made-by") == "0\n"


async def test_several_commands_are_one_step_that_stops_at_a_failure(sdk: Sdk, name: str) -> None:
    with pytest.raises(BuildException, match="step 1"):
        await sdk.build(name, BASE, step("run_cmd", ["true", "false", "echo not reached"]))


async def test_variables_reach_later_steps_and_sandboxes(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_envs", {"COLOUR": "red"}), step("run_cmd", "echo $COLOUR > colour"))
    assert await output(sdk, sandbox, "cat colour; echo $COLOUR") == "red\nred\n"


async def test_variables_of_a_sandbox_win_over_its_template_s(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_envs", {"A": "template", "B": "template"}), envs={"B": "sandbox"})
    assert await output(sdk, sandbox, "echo $A $B") == "template sandbox\n"


async def test_a_working_directory_is_made_and_is_where_commands_start(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_workdir", "/app/deep"), step("run_cmd", "echo x > here"))
    assert await output(sdk, sandbox, "pwd; cat here") == "/app/deep\nx\n"


async def test_paths_of_files_begin_at_the_working_directory(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_workdir", "/app"))
    assert (await sdk(sandbox.files.write, "a", "x")).path == "/app/a"


async def test_a_user_is_made_and_is_who_runs_commands(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_user", "worker"), step("run_cmd", "touch ~/mine"))
    assert await output(sdk, sandbox, "id -un; stat -c %U ~/mine") == "worker\nworker\n"


async def test_files_belong_to_the_template_s_user(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_user", "worker"), step("set_workdir", "/home/worker"))
    await sdk(sandbox.files.write, "a", "x")
    assert (await sdk(sandbox.files.get_info, "a")).owner == "worker"


async def test_a_copied_folder_gives_what_it_contains(sdk: Sdk, made: Any, context: str) -> None:
    sandbox = await made(step("copy", "folder", "/opt/copied"), context=context)
    listed = await output(sdk, sandbox, "cd /opt/copied; find . -type f | sort; cat a.txt deep/b.txt")
    assert listed == "./.hidden\n./a.txt\n./deep/b.txt\nAB"


async def test_a_file_is_copied_with_owner_and_mode(sdk: Sdk, made: Any, context: str) -> None:
    sandbox = await made(step("copy", "script", "/opt/tool", user="root", mode=0o755), context=context)
    assert await output(sdk, sandbox, "stat -c '%U %a' /opt/tool; cat /opt/tool") == "root 755\necho ran"


async def test_a_file_is_copied_into_a_folder(sdk: Sdk, made: Any, context: str) -> None:
    sandbox = await made(step("copy", "script", "bin/"), context=context)
    assert await output(sdk, sandbox, "stat -c %U bin bin/script") == "user\nuser\n"


async def test_a_pattern_copies_each_match(sdk: Sdk, made: Any, context: str) -> None:
    sandbox = await made(step("copy", "folder/**/*.txt", "flat/"), context=context)
    assert await output(sdk, sandbox, "ls flat") == "a.txt\nb.txt\n"


async def test_a_step_that_fails_is_named_with_what_it_said(sdk: Sdk, name: str) -> None:
    steps = (step("run_cmd", "true"), step("run_cmd", "echo the reason >&2; exit 3"))
    with pytest.raises(BuildException, match=r"step 2 \(RUN .*exit code 3:\n(?s:.*)the reason"):
        await sdk.build(name, BASE, *steps)


async def test_a_failed_build_leaves_no_template(sdk: Sdk, name: str) -> None:
    with pytest.raises(BuildException):
        await sdk.build(name, BASE, step("run_cmd", "false"))
    assert await _exists(sdk, name) is False


async def test_an_image_that_can_not_be_had_is_refused_with_the_ones_that_can(sdk: Sdk, name: str) -> None:
    with pytest.raises(BuildException, match=r"ubuntu:22\.04.*from_base_image"):
        await sdk.build(name, step("from_ubuntu_image", "22.04"), step("run_cmd", "true"))


@pytest.mark.parametrize("start", [("from_debian_image", "bookworm-slim"), ("from_node_image", "20-slim")])
async def test_an_image_equal_to_the_root_filesystem_is_taken(
    sdk: Sdk, name: str, start: tuple[str, str]
) -> None:
    built = await sdk.build(name, step(*start), step("run_cmd", "node --version"))
    assert built.tags == ["default"]


async def test_a_template_that_does_not_exist_is_nothing_to_start_from(sdk: Sdk, name: str) -> None:
    with pytest.raises(BuildException, match="no-such"):
        await sdk.build(name, step("from_template", "no-such"), step("run_cmd", "true"))


async def test_a_template_stands_on_another(sdk: Sdk, made: Any, name: str) -> None:
    await made(step("run_cmd", "echo below > one"), step("set_envs", {"A": "kept"}))
    await sdk.build(f"{name}-top", step("from_template", name), step("run_cmd", "echo above > two"))
    sandbox = await sdk.create(f"{name}-top")
    assert await output(sdk, sandbox, "cat one two; echo $A") == "below\nabove\nkept\n"
    await sdk(sandbox.kill)


async def test_a_build_tells_its_steps_and_their_output(sdk: Sdk, name: str) -> None:
    said: list[Any] = []
    await sdk.build(name, BASE, step("run_cmd", f"echo {name}"), on_build_logs=said.append)
    messages = [each.message for each in said]
    assert messages.index(f"[1/1] RUN echo {name}") < messages.index(name)


async def test_a_variable_s_value_is_not_told(sdk: Sdk, name: str) -> None:
    said: list[Any] = []
    await sdk.build(name, BASE, step("set_envs", {"KEY": "hush"}), on_build_logs=said.append)
    assert not [each for each in said if "hush" in each.message]


@pytest.mark.parametrize("again", ["same", "changed", "skip_cache"])
async def test_a_step_is_taken_again_only_if_need_be(sdk: Sdk, made: Any, again: str) -> None:
    first = await made(step("run_cmd", "cat /proc/sys/kernel/random/uuid > first"), step("run_cmd", "true"))
    before = await sdk(first.files.read, "first")
    changed = step("run_cmd", "true" if again != "changed" else "echo changed > second")
    options = {"skip_cache": True} if again == "skip_cache" else {}
    second = await made(step("run_cmd", "cat /proc/sys/kernel/random/uuid > first"), changed, **options)
    assert (await sdk(second.files.read, "first") == before) is (again != "skip_cache")
    assert await sdk(second.files.exists, "second") is (again == "changed")


async def test_files_that_change_are_copied_again(sdk: Sdk, made: Any, context: str, tmp_path: Path) -> None:
    await made(step("copy", "script", "copied"), context=context)
    await asyncio.to_thread((tmp_path / "script").write_text, "echo changed")
    sandbox = await made(step("copy", "script", "copied"), context=context)
    assert await sdk(sandbox.files.read, "copied") == "echo changed"


async def test_a_template_says_what_its_sandboxes_may_use(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("run_cmd", "true"), cpu_count=1, memory_mb=512, min_free_disk_mb=12_000)
    info = await sdk(sandbox.get_info)
    (now,) = await sdk(sandbox.get_metrics)
    assert (info.cpu_count, info.memory_mb, now.disk_total) == (1, 512, 12_000 * 1024 * 1024)


@pytest.mark.parametrize("limit", [{"cpu_count": 3}, {"memory_mb": 1}])
async def test_a_limit_that_can_not_be_is_refused(sdk: Sdk, name: str, limit: dict[str, Any]) -> None:
    with pytest.raises(BuildException, match="400"):
        await sdk.build(name, BASE, **limit)


async def test_the_server_s_own_template_keeps_its_name(sdk: Sdk) -> None:
    with pytest.raises(BuildException, match="the server's own template"):
        await sdk.build("base", BASE)


async def test_a_tag_names_a_build(sdk: Sdk, name: str) -> None:
    for version in ("one", "two"):
        await sdk.build(f"{name}:{version}", BASE, step("run_cmd", f"echo {version} > version"))
    for version in ("one", "two"):
        sandbox = await sdk.create(f"{name}:{version}")
        assert await sdk(sandbox.files.read, "version") == f"{version}\n"
        await sdk(sandbox.kill)


async def test_without_a_tag_the_default_one_is_meant(sdk: Sdk, name: str) -> None:
    await sdk.build(f"{name}:other", BASE)
    with pytest.raises(SandboxException, match="not found"):
        await sdk.create(name)


async def test_tags_are_assigned_listed_and_removed(sdk: Sdk, name: str) -> None:
    built = await sdk.build(f"{name}:v1", BASE, tags=["v2"])
    assert built.tags == ["v1", "v2"]
    given = await sdk.templates("assign_tags", f"{name}:v1", ["v3", "v4"])
    assert (given.build_id, given.tags) == (built.build_id, ["v3", "v4"])
    await sdk.templates("remove_tags", name, ["v1", "v4"])
    listed = await sdk.templates("get_tags", built.template_id)
    assert [(each.tag, each.build_id) for each in listed] == [("v2", built.build_id), ("v3", built.build_id)]


async def test_a_tag_that_is_not_there_can_not_be_removed(sdk: Sdk, name: str) -> None:
    await sdk.build(name, BASE)
    with pytest.raises(SandboxException, match="no-such"):
        await sdk.templates("remove_tags", name, ["no-such"])


async def test_existence_of_a_template_is_told(sdk: Sdk, name: str) -> None:
    assert await _exists(sdk, name) is False
    await sdk.build(name, BASE)
    assert await _exists(sdk, name) is True


async def test_a_start_command_runs_in_every_sandbox_before_it_is_given_out(sdk: Sdk, made: Any) -> None:
    # The file that tells that it is up appears last, and whole.
    start = "sleep 3600 & sleep 0.2; id -un > /tmp/rising; mv /tmp/rising /tmp/up; wait"
    sandbox = await made(step("set_start_cmd", start, READY))
    assert (
        await output(sdk, sandbox, "cat /tmp/up; pgrep -x sleep > /dev/null && echo runs") == "user\nruns\n"
    )


async def test_a_start_command_that_fails_fails_its_build(sdk: Sdk, name: str) -> None:
    with pytest.raises(BuildException, match="exit code 4"):
        await sdk.build(name, BASE, step("set_start_cmd", "exit 4", "false"))


async def test_a_deleted_template_is_gone(sdk: Sdk, name: str) -> None:
    built = await sdk.build(name, BASE)
    delete = sdk.sandbox_class.delete_snapshot
    assert await sdk(delete, built.template_id, **sdk.server.options) is True
    assert await _exists(sdk, name) is False


async def test_a_snapshot_keeps_what_its_template_set(sdk: Sdk, made: Any) -> None:
    sandbox = await made(step("set_envs", {"A": "b"}), step("set_workdir", "/app"))
    snapshot = await sdk(sandbox.create_snapshot)
    copy = await sdk.create(snapshot.snapshot_id)
    assert await output(sdk, copy, "pwd; echo $A") == "/app\nb\n"
    await sdk(copy.kill)


async def _exists(sdk: Sdk, name: str) -> bool:
    return bool(await sdk.templates("exists", name))


async def test_what_builds_the_base_template_on_e2b_builds_here(sdk: Sdk, name: str) -> None:
    if sdk.flavour != "sync":
        pytest.skip("its description is written with the sync SDK")
    definition = load_definition()
    options = {key: value for key, value in sdk.server.options.items() if key != "sandbox_url"}
    await sdk(Template.build, describe(definition), name, **options)
    sandbox = await sdk.create(name)
    told = await output(sdk, sandbox, "id -un; node --version; which tsx esbuild; ls -d /opt/castari/runner")
    version = next(each for key, each in definition.npm_packages.items() if key.startswith("node-"))
    paths = ["/usr/local/bin/tsx", "/usr/local/bin/esbuild", "/opt/castari/runner"]
    assert told.split() == ["user", f"v{version}", *paths]
    await sdk(sandbox.kill)
