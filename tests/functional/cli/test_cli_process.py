"""`cast` as a process: in a pipe, in a terminal, interrupted."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.cli.conftest import KEY
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import agent, invocation

CAST = (sys.executable, "-W", "error", "-m", "cast")


@pytest.fixture
def environment(platform: FakePlatform, environment: dict[str, str]) -> dict[str, str]:
    return environment | {"CASTARI_API_URL": platform.url, "CASTARI_API_KEY": KEY}


def in_terminal(
    arguments: tuple[str, ...], environment: dict[str, str], typed: bytes = b""
) -> tuple[int, str]:
    """Run with all three streams on one terminal; return the exit code and what it showed."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*CAST, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=environment, close_fds=True
    ) as process:
        os.close(terminal)
        os.write(controller, typed)
        shown = b""
        try:
            while chunk := os.read(controller, 65536):
                shown += chunk
        except OSError:  # Linux ends a terminal whose other side is closed with EIO.
            pass
        os.close(controller)
    return process.returncode, shown.decode()


def test_a_pipe_gets_no_control_codes(platform: FakePlatform, environment: dict[str, str]) -> None:
    platform.on("POST", "/agents/hello/invoke", Reply(200, invocation()))
    done = subprocess.run(
        [*CAST, "invoke", "hello", "Ada"], capture_output=True, env=environment, check=True, timeout=60
    )
    assert done.stdout == b"Hello, Ada!\n"
    assert b"\x1b" not in done.stderr


def test_output_is_utf8_whatever_the_locale(platform: FakePlatform, environment: dict[str, str]) -> None:
    platform.on("POST", "/agents/hello/invoke", Reply(200, invocation(response_content="grüße")))
    done = subprocess.run(
        [*CAST, "invoke", "hello", "Ada"],
        capture_output=True,
        env=environment | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        check=True,
        timeout=60,
    )
    assert done.stdout.decode() == "grüße"


def test_a_terminal_gets_a_heading_and_aligned_columns(
    platform: FakePlatform, environment: dict[str, str]
) -> None:
    platform.on("GET", "/agents", Reply(200, [agent(status="active")]))
    code, shown = in_terminal(("agents", "list"), environment)
    assert code == 0
    assert shown.splitlines() == [
        "SLUG   STATUS  NAME   UPDATED",
        "hello  active  Hello  2026-01-02 03:04:05Z",
    ]


def test_a_terminal_shows_a_spinner_and_then_the_answer_on_its_own_line(
    platform: FakePlatform, environment: dict[str, str]
) -> None:
    platform.on("POST", "/agents/hello/invoke", Reply(200, invocation(response_content="Hi")))
    code, shown = in_terminal(("invoke", "hello", "Ada"), environment)
    assert code == 0
    assert "waiting for hello" in shown
    assert shown.endswith("Hi\r\n")


def test_a_secret_that_is_typed_is_not_shown(platform: FakePlatform, environment: dict[str, str]) -> None:
    platform.on("POST", "/agents/hello/secrets", Reply(201, {"key": "TOKEN"}))
    # Until the prompt switches it off a terminal echoes, so nothing is typed before it asks.
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*CAST, "secrets", "set", "hello", "TOKEN"],
        stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
    ) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        while not shown.endswith(b"Value of TOKEN: "):
            shown += os.read(controller, 1)
        os.write(controller, b"hunter2\n")
        process.wait(timeout=60)
        shown += os.read(controller, 65536)
        os.close(controller)
    assert process.returncode == 0
    assert platform.asked[-1].json == {"key": "TOKEN", "value": "hunter2"}
    assert b"hunter2" not in shown


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    # What a shell runs in the background ignores it, as would its children; a handler they do not inherit.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_a_deploy_cleanly_and_says_that_it_goes_on(
    platform: FakePlatform, environment: dict[str, str], folder: Path
) -> None:
    platform.on("GET", "/agents/hello", Reply(200, agent(status="deploying", status_message="installing")))
    platform.on("POST", "/agents/hello/upload", Reply(200, {"source_hash": "feed" * 16}))
    with subprocess.Popen(
        [*CAST, "deploy"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr is not None
        said = b""
        while b"  installing\n" not in said:
            said += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert process.returncode == 130
    assert b"the deploy goes on: `cast agents get hello` shows it" in said
    assert b"Traceback" not in said


def test_a_reader_that_leaves_early_is_no_error_to_shout_about(
    platform: FakePlatform, environment: dict[str, str]
) -> None:
    platform.on("POST", "/agents/hello/invoke", Reply(200, invocation(response_content="x" * 1_000_000)))
    with subprocess.Popen(
        [*CAST, "invoke", "hello", "Ada"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["--help"], 0), (["frobnicate"], 2), (["invoke"], 2)]
)
def test_exit_codes_tell_usage_from_success(
    environment: dict[str, str], arguments: list[str], code: int
) -> None:
    done = subprocess.run([*CAST, *arguments], capture_output=True, env=environment, check=False, timeout=60)
    assert done.returncode == code
