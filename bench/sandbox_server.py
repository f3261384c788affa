"""Starts a sandbox server of the bench's own, as an operator would, and ends it with the block."""

import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from e2b import E2B

ROOT = Path(__file__).parent.parent
STATE = ROOT / ".local" / "bench"
READY_SECONDS = 300.0
"""The first start on a machine builds the root filesystem."""


@dataclass(frozen=True)
class SandboxServer:
    """A running server: its process, the instance that its traces carry, and an SDK client bound to it."""

    pid: int
    instance: str
    url: str
    e2b: E2B


@contextmanager
def sandbox_server(engine: str, *, instance: str, pool: int = 0) -> Iterator[SandboxServer]:
    """Run a server with the given engine and pool size. Raises `RuntimeError` if it does not get ready."""
    with TemporaryDirectory() as folder:
        key = "e2b_" + secrets.token_hex(20)
        key_file = Path(folder) / "key"
        key_file.touch(0o600)
        key_file.write_text(key)
        with (Path(folder) / "log").open("w+") as log:
            process = _started(engine, instance, pool, key_file, log)
            try:
                url = _ready_url(cast("IO[str]", process.stdout), log)
                client = E2B(api_key=key, api_url=url, sandbox_url=url)
                yield SandboxServer(process.pid, instance, url, client)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _started(engine: str, instance: str, pool: int, key_file: Path, log: IO[str]) -> "subprocess.Popen[str]":
    state = STATE / instance
    state.mkdir(parents=True, exist_ok=True)
    options = {
        "--port": "0",
        "--api-key-file": str(key_file),
        "--state-dir": str(state),
        "--instance": instance,
        "--engine": engine,
        "--pool": str(pool),
        "--max-sandboxes": "300",
    }
    command = [sys.executable, "-m", "local.sandboxes", *(word for pair in options.items() for word in pair)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)


def _ready_url(stdout: IO[str], log: IO[str]) -> str:
    readable, _, _ = select.select([stdout], [], [], READY_SECONDS)
    line = stdout.readline() if readable else ""
    if not line:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
        raise RuntimeError(f"the sandbox server did not become ready; its last words:\n{log.read()}")
    return str(json.loads(line)["url"])
