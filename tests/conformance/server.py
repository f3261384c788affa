"""Runs a sandbox server of its own for tests, as an operator would."""

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
from typing import IO, cast

ROOT = Path(__file__).parents[2]
_PRIVATE = ("AWS_", "CASTARI_", "E2B_")
"""What the server must not need, and could give away."""

READY_SECONDS = 300.0
"""The first start of the isolating engine on a machine builds the root filesystem."""


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready, and the options that bind an SDK call to it."""

    url: str
    api_key: str
    process: "subprocess.Popen[str]"

    @property
    def options(self) -> dict[str, str]:
        """Keyword arguments for any call of the SDK."""
        return {"api_key": self.api_key, "api_url": self.url, "sandbox_url": self.url}


@dataclass(frozen=True)
class HostedE2B:
    """E2B itself, in the place of a server of ours."""

    api_key: str
    url: str = "https://api.e2b.app"

    @property
    def options(self) -> dict[str, str]:
        """Keyword arguments for any call of the SDK."""
        return {"api_key": self.api_key}


@contextmanager
def running_server(
    state: Path, *arguments: str, engine: str = "bare", instance: str | None = None
) -> Iterator[RunningServer]:
    """Run a server and stop it with the block. The next of its instance removes what a crashed one left."""
    state.mkdir(parents=True, exist_ok=True)
    key_file = state / "key"
    key_file.write_text("e2b_0123456789abcdef\n")
    options = ["--engine", engine, "--instance", instance or secrets.token_hex(2)]
    options += ["--state-dir", str(state), "--api-key-file", str(key_file)]
    with (state / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.sandboxes", *options, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)},
        )
        try:
            with cast("IO[str]", process.stdout):
                url = _ready_url(cast("IO[str]", process.stdout), state / "log")
                yield RunningServer(url, key_file.read_text().strip(), process)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in {0, -signal.SIGKILL}, (state / "log").read_text()[-2000:]


def _ready_url(stdout: IO[str], log: Path) -> str:
    readable, _, _ = select.select([stdout], [], [], READY_SECONDS)
    line = stdout.readline() if readable else ""
    assert line, f"the server did not become ready:\n{log.read_text()[-2000:]}"
    return str(json.loads(line)["url"])
