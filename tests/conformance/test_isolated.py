"""What only holds with isolation: whose files are whose, and what a full disk or memory looks like."""

import os
from typing import Any

import pytest
from e2b import AuthenticationException, CommandExitException, NotEnoughSpaceException, SandboxException

from tests.conformance.conftest import ENGINE, Sdk

pytestmark = [
    pytest.mark.local,
    pytest.mark.root,
    pytest.mark.skipif(
        ENGINE != "namespaces" or os.geteuid() != 0, reason="needs root and the namespaces engine"
    ),
]


async def test_commands_and_files_belong_to_the_user(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a/b", "x")
    result = await sdk(sandbox.commands.run, "id -un; pwd; stat -c %U:%G a a/b; touch c; stat -c %U c")
    assert result.stdout.split() == ["user", "/home/user", "user:user", "user:user", "user"]


@pytest.mark.parametrize("path", ["/etc/shadow", "/root/x", "/proc/1/environ", "/proc/1/mem"])
async def test_what_the_user_may_not_read_its_links_do_not_read_either(
    sdk: Sdk, sandbox: Any, path: str
) -> None:
    await sdk(sandbox.commands.run, f"ln -s {path} link")
    for each in (path, "link"):
        with pytest.raises(SandboxException, match="permission denied"):
            await sdk(sandbox.files.read, each)


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/new", "/proc/sys/kernel/hostname"])
async def test_what_the_user_may_not_write_its_links_do_not_write_either(
    sdk: Sdk, sandbox: Any, path: str
) -> None:
    await sdk(sandbox.commands.run, f"ln -s {path} link")
    for each in (path, "link"):
        with pytest.raises(SandboxException, match=r"permission denied|read-only"):
            await sdk(sandbox.files.write, each, "x")


async def test_a_directory_of_another_user_can_not_be_changed(sdk: Sdk, sandbox: Any) -> None:
    for change in (
        (sandbox.files.remove, "/etc/passwd"),
        (sandbox.files.rename, "/etc/passwd", "/tmp/passwd"),
        (sandbox.files.make_dir, "/etc/new"),
    ):
        with pytest.raises(SandboxException, match="permission denied"):
            await sdk(*change)
    assert await sdk(sandbox.files.exists, "/etc/passwd")


async def test_an_agent_s_sandbox_has_no_root_to_use(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(AuthenticationException, match="does not allow 'root'"):
        await sdk(sandbox.commands.run, "id", user="root")
    with pytest.raises(AuthenticationException, match="does not allow 'root'"):
        await sdk(sandbox.files.read, "/etc/shadow", user="root")


async def test_the_daemon_can_not_be_hurt_by_its_commands(sdk: Sdk, sandbox: Any) -> None:
    signals = "for signal in TERM INT KILL STOP SEGV CHLD; do kill -$signal $task; done"
    await sdk(sandbox.commands.run, f"for task in $(ls /proc/1/task); do {signals}; done 2>/dev/null; true")
    assert (await sdk(sandbox.commands.run, "echo alive")).stdout == "alive\n"


async def test_a_full_disk_is_not_enough_space(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "fallocate -l 20G big || fallocate -l 10200M big || true")
    with pytest.raises(NotEnoughSpaceException):
        await sdk(sandbox.files.write, "more", b"x" * 64 * 1024 * 1024)


async def test_a_command_that_takes_all_memory_dies_and_its_sandbox_lives(sdk: Sdk, sandbox: Any) -> None:
    greedy = 'python3 -c "b = bytearray(3 * 2**30)"'
    with pytest.raises(CommandExitException) as caught:
        await sdk(sandbox.commands.run, greedy)
    assert caught.value.exit_code in (-1, 137)
    assert (await sdk(sandbox.commands.run, "echo alive")).stdout == "alive\n"


async def test_programs_find_their_locale_in_one_file(sdk: Sdk, sandbox: Any) -> None:
    archive = "/usr/lib/locale/locale-archive"
    word = "word=äö; echo ${#word}"
    result = await sdk(sandbox.commands.run, f"localedef --list-archive {archive}; locale charmap; {word}")
    assert result.stdout.split() == ["C.utf8", "UTF-8", "2"]
