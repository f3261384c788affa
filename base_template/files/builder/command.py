"""Runs one command of a build, bounded in time and output."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from builder.echo import Echo
from builder.failure import StepFailed

_TAIL_BYTES = 6_000
_TICK_SECONDS = 0.3
_GRACE_SECONDS = 0.5
_MOST_OUTPUT_BYTES = 64 * 1024 * 1024
"""A command that prints more is busy with something else than a build."""


class Ended:
    """How a command ended. `exit_code` is None where we ended it; `how` says it in words."""

    def __init__(self, exit_code: int | None, how: str, tail: str) -> None:
        self.exit_code, self.how, self.tail = exit_code, how, tail


class _Output:
    """What a command prints: passed on as it comes, its end kept."""

    def __init__(self) -> None:
        self.echo, self.tail, self._seen_bytes = Echo(), b"", 0

    @property
    def is_too_much(self) -> bool:
        return self._seen_bytes > _MOST_OUTPUT_BYTES

    def add(self, chunk: bytes) -> None:
        self._seen_bytes += len(chunk)
        self.tail = (self.tail + chunk)[-_TAIL_BYTES:]
        self.echo.feed(chunk)


def run(words: list[str], folder: Path, environment: Mapping[str, str], seconds: float) -> Ended:
    """Run to the end, or kill its whole group after `seconds` or too much output."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    output = _Output()
    with closing(output.echo):
        exited = _drain(process, output, time.monotonic() + seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    tail = output.tail.decode("utf-8", "replace")
    if output.is_too_much:
        return Ended(None, f"printed more than {_MOST_OUTPUT_BYTES // 1024**2} MB", tail)
    if not exited:
        return Ended(None, f"did not end within {seconds:.0f} s", tail)
    return Ended(process.returncode, f"ended with exit code {process.returncode}", tail)


def must_succeed(
    words: list[str],
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    *,
    what: str,
    shown: str,
    remedy: str,
) -> None:
    """Run a command, `shown` to people in short. Raises `StepFailed`: `what` failed, and how."""
    ended = run(words, folder, environment, seconds)
    if ended.exit_code is None:
        remedy = "look for an install script that waits or prints without end, or ask for less"
    if ended.exit_code != 0:
        raise StepFailed(f"{what} failed: `{shown}` {ended.how}", remedy, ended.tail)


def _drain(process: subprocess.Popen[bytes], output: _Output, ends_at: float) -> bool:
    """Take the output in; tell whether the command ended in time. What it left behind may hold the pipe."""
    if process.stdout is None:
        raise ValueError("the command needs a pipe")
    pipe, exit_event = process.stdout.fileno(), os.pidfd_open(process.pid)
    exited = False
    with process.stdout, os.fdopen(exit_event):
        while (left := ends_at - time.monotonic()) > 0 and not output.is_too_much:
            watched = [pipe] if exited else [pipe, exit_event]
            ready, _, _ = select.select(watched, [], [], min(left, _TICK_SECONDS))
            if exit_event in ready:
                exited, ends_at = True, time.monotonic() + _GRACE_SECONDS
            if pipe in ready:
                chunk = os.read(pipe, 65_536)
                if not chunk:
                    return exited or _exits(exit_event, ends_at)
                output.add(chunk)
            output.echo.tick()
    return exited


def _exits(exit_event: int, ends_at: float) -> bool:
    return bool(select.select([exit_event], [], [], max(0.0, ends_at - time.monotonic()))[0])
