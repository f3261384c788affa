"""Pseudo-terminals: a shell that somebody types into, its size, its end, and who may join."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from e2b import (
    CommandExitException,
    NotFoundException,
    PtySize,
    SandboxException,
    TimeoutException,
)

from tests.conformance.conftest import Sdk, until

SIZE = PtySize(rows=24, cols=80)


@dataclass
class Terminal:
    """A terminal of either flavour; what it shows is collected while it is waited for."""

    sdk: Sdk
    sandbox: Any
    handle: Any
    shown: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return self.shown.decode().replace("\r\n", "\n").replace("\r", "\n")

    async def type(self, text: str) -> None:
        await self.sdk(self.sandbox.pty.send_stdin, self.handle.pid, text.encode())

    async def wait(self) -> Any:
        if self.sdk.calls_back:
            return await self.sdk(self.handle.wait)
        return await asyncio.to_thread(self.handle.wait, on_pty=self.shown.extend)


async def open_terminal(sdk: Sdk, sandbox: Any, **options: Any) -> Terminal:
    terminal = Terminal(sdk, sandbox, None)
    if sdk.calls_back:
        options["on_data"] = terminal.shown.extend
    terminal.handle = await sdk(sandbox.pty.create, SIZE, **options)
    return terminal


@pytest.fixture
async def terminal(sdk: Sdk, sandbox: Any) -> Terminal:
    """A shell at a terminal; it ends with its sandbox."""
    return await open_terminal(sdk, sandbox)


async def test_a_shell_at_a_terminal_answers_and_exits(terminal: Terminal) -> None:
    await terminal.type("echo $((6 * 7)); tty; exit\n")
    assert (await terminal.wait()).exit_code == 0
    assert "\n42\n/dev/pts/" in terminal.text


async def test_a_shell_s_exit_code_comes_back_from_its_terminal(terminal: Terminal) -> None:
    await terminal.type("exit 7\n")
    with pytest.raises(CommandExitException) as caught:
        await terminal.wait()
    assert caught.value.exit_code == 7


async def test_ctrl_d_ends_the_input_of_what_runs(terminal: Terminal) -> None:
    await terminal.type("cat\n")
    await until(lambda: _runs(terminal, "cat"))
    await terminal.type("\x04")
    await terminal.type("exit\n")
    assert (await terminal.wait()).exit_code == 0


async def test_ctrl_c_interrupts_what_runs_and_not_the_shell(terminal: Terminal) -> None:
    await terminal.type("sleep 60\n")
    await until(lambda: _runs(terminal, "sleep"))
    await terminal.type("\x03")
    await terminal.type("echo still $((40 + 2)); exit\n")
    assert (await terminal.wait()).exit_code == 0
    assert "still 42\n" in terminal.text


async def test_a_terminal_has_the_size_it_was_made_with(terminal: Terminal) -> None:
    await terminal.type("stty size; exit\n")
    await terminal.wait()
    assert "\n24 80\n" in terminal.text


async def test_a_terminal_can_be_resized(terminal: Terminal) -> None:
    await terminal.sdk(terminal.sandbox.pty.resize, terminal.handle.pid, PtySize(rows=50, cols=132))
    await terminal.type("stty size; exit\n")
    await terminal.wait()
    assert "\n50 132\n" in terminal.text


async def test_the_foreground_is_told_of_a_new_size(sdk: Sdk, sandbox: Any, terminal: Terminal) -> None:
    script = "trap 'stty size > size' WINCH; touch set; while ! [ -s size ]; do sleep 0.05; done"
    await sdk(sandbox.files.write, "script", script)
    await terminal.type("bash script; exit\n")
    await until(lambda: sdk(sandbox.files.exists, "set"))
    await sdk(sandbox.pty.resize, terminal.handle.pid, PtySize(rows=11, cols=22))
    await terminal.wait()
    assert (await sdk(sandbox.files.read, "size")).split() == ["11", "22"]


async def test_a_terminal_takes_directory_and_variables(sdk: Sdk, sandbox: Any) -> None:
    terminal = await open_terminal(sdk, sandbox, cwd="/usr", envs={"A": "b"})
    await terminal.type("echo $PWD $A $TERM; exit\n")
    await terminal.wait()
    assert "\n/usr b xterm-256color\n" in terminal.text


async def test_a_program_is_told_that_it_has_a_terminal(terminal: Terminal) -> None:
    await terminal.type("[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all : > /dev/tty; exit\n")
    await terminal.wait()
    assert "\nall :\n" in terminal.text


async def test_streamed_input_reaches_a_terminal_in_order(sdk: Sdk, sandbox: Any, terminal: Terminal) -> None:
    await terminal.type("cat > typed\n")
    await until(lambda: _runs(terminal, "cat"))
    chunks = [*(f"{number}\n" for number in range(200)), "\x04", "exit\n"]
    await sdk.stream_input(sandbox.pty, terminal.handle.pid, chunks)
    await terminal.wait()
    assert (await sdk(sandbox.files.read, "typed")).split() == [str(number) for number in range(200)]


async def test_a_killed_terminal_ends_and_is_killed_once(sdk: Sdk, sandbox: Any, terminal: Terminal) -> None:
    assert await sdk(sandbox.pty.kill, terminal.handle.pid) is True
    with pytest.raises(CommandExitException):
        await terminal.wait()
    assert await sdk(sandbox.pty.kill, terminal.handle.pid) is False


async def test_a_terminal_s_end_ends_what_ran_in_it(sdk: Sdk, sandbox: Any, terminal: Terminal) -> None:
    await terminal.type("sleep 3600\n")
    await until(lambda: _runs(terminal, "sleep"))
    await sdk(sandbox.pty.kill, terminal.handle.pid)

    async def ended() -> bool:
        return not await _runs(terminal, "sleep")

    await until(ended)
    assert not await _runs(terminal, "sleep")


async def test_a_terminal_longer_than_its_timeout_is_killed(sdk: Sdk, sandbox: Any) -> None:
    terminal = await open_terminal(sdk, sandbox, timeout=5)
    with pytest.raises(TimeoutException):
        await terminal.wait()


async def test_a_second_client_can_join_a_terminal(sdk: Sdk, sandbox: Any, terminal: Terminal) -> None:
    joined = Terminal(sdk, sandbox, None)
    options = {"on_data": joined.shown.extend} if sdk.calls_back else {}
    joined.handle = await sdk(sandbox.pty.connect, terminal.handle.pid, **options)
    await terminal.type("echo $((6 * 7)); exit\n")
    await asyncio.gather(terminal.wait(), joined.wait())
    assert "\n42\n" in terminal.text
    assert "\n42\n" in joined.text


async def test_a_terminal_is_listed_among_the_commands(sdk: Sdk, sandbox: Any, terminal: Terminal) -> None:
    listed = {each.pid: each for each in await sdk(sandbox.commands.list)}
    assert listed[terminal.handle.pid].args == ["-i", "-l"]


async def test_input_for_a_terminal_that_is_gone_is_not_found(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(NotFoundException):
        await sdk(sandbox.pty.send_stdin, 999_999, b"x")
    with pytest.raises(NotFoundException):
        await sdk(sandbox.pty.resize, 999_999, SIZE)


async def test_a_terminal_and_pipes_are_not_taken_for_each_other(
    sdk: Sdk, sandbox: Any, terminal: Terminal
) -> None:
    command = await sdk(sandbox.commands.run, "cat", background=True, stdin=True)
    with pytest.raises(SandboxException, match="without pty"):
        await sdk(sandbox.pty.send_stdin, command.pid, b"x")
    with pytest.raises(SandboxException, match="has no terminal"):
        await sdk(sandbox.pty.resize, command.pid, SIZE)
    with pytest.raises(SandboxException, match="without stdin"):
        await sdk(sandbox.commands.send_stdin, terminal.handle.pid, "x")
    with pytest.raises(SandboxException, match="send Ctrl"):
        await sdk(sandbox.commands.close_stdin, terminal.handle.pid)
    await sdk(command.kill)


async def _runs(terminal: Terminal, name: str) -> bool:
    # What is typed before a program reads would be edited by the shell, not by the terminal.
    children = (
        f"grep -lx 'Name:.{name}' $(grep -lx 'PPid:.{terminal.handle.pid}' /proc/[0-9]*/status) /dev/null"
    )
    result = await terminal.sdk(terminal.sandbox.commands.run, f"{children} 2>/dev/null || true")
    return bool(result.stdout)
