"""Runs one command of a build: bounded in time, its output passed on as it comes and kept at the end only."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from builder.echo import Echo

TAIL_BYTES = 6_000
_GRACE_SECONDS = 0.5
_TICK_SECONDS = 0.3


class Ended:
    """How a command ended. `exit_code` is None where its time was over."""

    def __init__(self, exit_code: int | None, tail: str) -> None:
        self.exit_code, self.tail = exit_code, tail


def run(words: list[str], folder: Path, environment: Mapping[str, str], seconds: float) -> Ended:
    """Run to the end, or kill its whole group after `seconds`."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    tail, in_time = _drain(process, time.monotonic() + seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return Ended(process.returncode if in_time else None, tail.decode("utf-8", "replace"))


def _drain(process: subprocess.Popen[bytes], ends_at: float) -> tuple[bytes, bool]:
    """Return the output's end and whether the command ended in time; what it left may hold the pipe."""
    if process.stdout is None:
        raise ValueError("the command needs a pipe")
    pipe, exit_event, tail = process.stdout.fileno(), os.pidfd_open(process.pid), b""
    exited = False
    with process.stdout, os.fdopen(exit_event), closing(Echo()) as echo:
        while (left := ends_at - time.monotonic()) > 0:
            watched = [pipe, *([] if exited else [exit_event])]
            ready, _, _ = select.select(watched, [], [], min(left, _TICK_SECONDS))
            if exit_event in ready:
                exited, ends_at = True, time.monotonic() + _GRACE_SECONDS
            if pipe in ready:
                chunk = os.read(pipe, 65_536)
                if not chunk:
                    return tail, exited or _exits(exit_event, ends_at)
                tail = (tail + chunk)[-TAIL_BYTES:]
                echo.feed(chunk)
            echo.tick()
    return tail, exited


def _exits(exit_event: int, ends_at: float) -> bool:
    return bool(select.select([exit_event], [], [], max(0.0, ends_at - time.monotonic()))[0])
