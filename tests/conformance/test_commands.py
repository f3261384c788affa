"""Commands: output, input, exit codes, signals, deadlines, and what happens when somebody goes away."""

import asyncio
import time
from typing import Any

import pytest
from e2b import (
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    TimeoutException,
)
from e2b.exceptions import SandboxNotRunningException

from tests.conformance.conftest import Sdk, until

WAITING = "while ! [ -e go ]; do sleep 0.05; done; echo went"
"""Runs until a file `go` appears."""


async def test_output_and_exit_code_of_a_command_come_back(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "echo out; echo err >&2")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)


async def test_a_failing_command_raises_with_its_code_and_output(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sdk(sandbox.commands.run, "echo partly; exit 3")
    assert (caught.value.exit_code, caught.value.stdout) == (3, "partly\n")
    assert caught.value.error == "exit status 3"


async def test_a_program_that_does_not_exist_is_127(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sdk(sandbox.commands.run, "no-such-program")
    assert caught.value.exit_code == 127


async def test_a_process_that_dies_of_a_signal_has_no_exit_code(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(CommandExitException) as caught:
        await sdk(sandbox.commands.run, "kill -SEGV $$")
    assert caught.value.exit_code == -1
    assert str(caught.value.error).startswith("signal: segmentation fault")


async def test_variables_of_the_command_win_over_those_of_the_sandbox(sdk: Sdk) -> None:
    sandbox = await sdk.create(envs={"A": "sandbox", "B": "sandbox"})
    try:
        result = await sdk(sandbox.commands.run, "echo $A $B", envs={"B": "command"})
    finally:
        await sdk(sandbox.kill)
    assert result.stdout == "sandbox command\n"


async def test_the_environment_names_user_and_home(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, 'echo $USER $LOGNAME; [ "$HOME" = "$PWD" ] && echo at home')
    assert result.stdout == "user user\nat home\n"


async def test_nothing_of_the_server_s_own_environment_reaches_a_command(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "env")
    names = {line.partition("=")[0] for line in result.stdout.splitlines()}
    assert not {name for name in names if "E2B" in name or "CASTARI" in name or "PYTHON" in name}


async def test_a_command_starts_in_the_directory_it_is_given(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "pwd", cwd="/usr/bin")
    assert result.stdout == "/usr/bin\n"


async def test_a_directory_that_does_not_exist_is_named(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="cwd '/no/such' does not exist"):
        await sdk(sandbox.commands.run, "true", cwd="/no/such")


async def test_an_unknown_user_is_refused(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(AuthenticationException, match="no user 'nobody-here'"):
        await sdk(sandbox.commands.run, "true", user="nobody-here")


async def test_stdin_is_empty_unless_asked_for(sdk: Sdk, sandbox: Any) -> None:
    assert (await sdk(sandbox.commands.run, "cat; echo end")).stdout == "end\n"


async def test_stdin_reaches_the_command_and_ends_when_closed(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "cat; echo end", background=True, stdin=True)
    await sdk(command.send_stdin, "one ")
    await sdk(command.send_stdin, b"two\n")
    await sdk(command.close_stdin)
    assert (await sdk(command.wait)).stdout == "one two\nend\n"


async def test_closing_stdin_twice_is_fine_and_writing_then_is_not(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "cat; sleep 60", background=True, stdin=True)
    await sdk(command.close_stdin)
    await sdk(command.close_stdin)
    with pytest.raises(SandboxException, match="stdin is closed"):
        await sdk(command.send_stdin, "late")
    await sdk(command.kill)


async def test_input_larger_than_a_pipe_arrives_whole_and_in_order(sdk: Sdk, sandbox: Any) -> None:
    data = "".join(f"{number:07d}\n" for number in range(250_000))
    command = await sdk(sandbox.commands.run, "sha256sum", background=True, stdin=True)
    await sdk(command.send_stdin, data)
    await sdk(command.close_stdin)
    digest = (await sdk(command.wait)).stdout.split()[0]
    expected = await sdk(sandbox.commands.run, "seq -f %07.0f 0 249999 | sha256sum")
    assert digest == expected.stdout.split()[0]


async def test_streamed_input_keeps_its_order_and_leaves_stdin_open(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "cat", background=True, stdin=True)
    await sdk.stream_input(sandbox.commands, command.pid, [f"{number}\n" for number in range(500)])
    await sdk(command.send_stdin, "last\n")
    await sdk(command.close_stdin)
    lines = (await sdk(command.wait)).stdout.splitlines()
    assert lines == [*map(str, range(500)), "last"]


async def test_input_for_a_process_that_is_gone_is_not_found(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(NotFoundException):
        await sdk(sandbox.commands.send_stdin, 999_999, "x")


async def test_many_megabytes_of_output_arrive_whole(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "seq 1 1000000")
    assert len(result.stdout) == 6_888_896
    assert result.stdout.endswith("999999\n1000000\n")


async def test_characters_that_are_split_between_chunks_stay_whole(sdk: Sdk, sandbox: Any) -> None:
    # 3 bytes each, so that 32 KiB is no multiple of them.
    result = await sdk(sandbox.commands.run, "head -c 300000 /dev/zero | sed 's/\\x0/€/g'")
    assert result.stdout == "€" * 300_000


async def test_output_is_handed_over_as_it_comes(sdk: Sdk, sandbox: Any) -> None:
    seen: list[str] = []
    result = await sdk(sandbox.commands.run, "echo one; read -t 0.3 <> <(:); echo two", on_stdout=seen.append)
    assert "".join(seen) == result.stdout == "one\ntwo\n"
    assert len(seen) == 2


async def test_a_command_longer_than_its_timeout_is_killed(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(TimeoutException):
        await sdk(sandbox.commands.run, "echo $$ > pid; exec sleep 60", timeout=5)
    await until(lambda: _is_gone(sdk, sandbox))


async def test_a_timeout_also_ends_a_background_command(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "echo $$ > pid; exec sleep 60", background=True, timeout=5)
    with pytest.raises(TimeoutException):
        await sdk(command.wait)
    await until(lambda: _is_gone(sdk, sandbox))


async def test_no_timeout_is_no_deadline(sdk: Sdk, sandbox: Any) -> None:
    assert (await sdk(sandbox.commands.run, "sleep 0.2; echo done", timeout=0)).stdout == "done\n"


async def test_running_commands_are_listed_until_they_end(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "sleep 60", background=True, envs={"A": "b"}, cwd="/tmp")
    listed = [each for each in await sdk(sandbox.commands.list) if each.pid == command.pid]
    assert listed[0].cmd == "/bin/bash"
    assert listed[0].args == ["-l", "-c", "sleep 60"]
    assert (listed[0].envs, listed[0].cwd) == ({"A": "b"}, "/tmp")
    assert await sdk(command.kill)
    await until(lambda: _is_not_listed(sdk, sandbox, command.pid))


async def test_killing_a_command_ends_its_stream_and_is_true_once(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "sleep 60", background=True)
    assert await sdk(sandbox.commands.kill, command.pid) is True
    with pytest.raises(CommandExitException) as caught:
        await sdk(command.wait)
    assert (caught.value.exit_code, caught.value.error) == (-1, "signal: killed")
    assert await sdk(sandbox.commands.kill, command.pid) is False


async def test_killing_what_never_ran_is_false(sdk: Sdk, sandbox: Any) -> None:
    assert await sdk(sandbox.commands.kill, 999_999) is False


async def test_a_command_runs_on_when_its_client_leaves(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, WAITING, background=True)
    await sdk(command.disconnect)
    again = await sdk(sandbox.commands.connect, command.pid)
    await sdk(sandbox.files.write, "go", "")
    assert (await sdk(again.wait)).stdout == "went\n"


async def test_two_clients_can_follow_one_command(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, WAITING, background=True)
    other = await sdk(sandbox.commands.connect, command.pid)
    await sdk(sandbox.files.write, "go", "")
    assert (await sdk(command.wait)).stdout == "went\n"
    assert (await sdk(other.wait)).stdout == "went\n"


async def test_a_late_client_still_learns_how_a_command_ended(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "exit 5", background=True)
    await until(lambda: _is_not_listed(sdk, sandbox, command.pid))
    late = await sdk(sandbox.commands.connect, command.pid)
    with pytest.raises(CommandExitException) as caught:
        await sdk(late.wait)
    assert caught.value.exit_code == 5


async def test_connecting_to_what_never_ran_is_not_found(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(NotFoundException):
        await sdk(sandbox.commands.connect, 999_999)


async def test_a_grandchild_that_holds_the_output_keeps_the_command_open(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "(sleep 0.3; echo late) & echo early")
    assert result.stdout == "early\nlate\n"


async def test_killing_a_command_does_not_wait_for_its_grandchildren(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "sleep 60 & echo $!; wait", background=True)
    began = time.monotonic()
    await sdk(command.kill)
    with pytest.raises(CommandExitException):
        await sdk(command.wait)
    assert time.monotonic() - began < 30


async def test_commands_run_beside_each_other(sdk: Sdk, sandbox: Any) -> None:
    # Each waits for the other one's file, so they end only if both run.
    one = sdk(sandbox.commands.run, "touch a; while ! [ -e b ]; do sleep 0.02; done", timeout=30)
    two = sdk(sandbox.commands.run, "touch b; while ! [ -e a ]; do sleep 0.02; done", timeout=30)
    results = await asyncio.gather(one, two)
    assert [result.exit_code for result in results] == [0, 0]


async def test_no_output_is_lost_however_short_the_command(sdk: Sdk, sandbox: Any) -> None:
    results = [await sdk(sandbox.commands.run, f"echo {number}") for number in range(100)]
    assert [result.stdout for result in results] == [f"{number}\n" for number in range(100)]


async def test_killing_the_sandbox_ends_its_commands_as_not_running(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    command = await sdk(sandbox.commands.run, "sleep 60", background=True)
    assert await sdk(sandbox.kill)
    with pytest.raises(SandboxNotRunningException):
        await sdk(command.wait)


async def test_output_that_is_not_kept_is_still_handed_over(sdk: Sdk, sandbox: Any) -> None:
    seen: list[str] = []
    result = await sdk(sandbox.commands.run, "seq 1 100000", retain_output=False, on_stdout=seen.append)
    assert result.stdout is None
    assert "".join(seen).endswith("99999\n100000\n")


async def _is_gone(sdk: Sdk, sandbox: Any) -> bool:
    result = await sdk(sandbox.commands.run, "kill -0 $(cat pid) 2>/dev/null || echo gone")
    return bool(result.stdout == "gone\n")


async def _is_not_listed(sdk: Sdk, sandbox: Any, pid: int) -> bool:
    return pid not in [each.pid for each in await sdk(sandbox.commands.list)]
