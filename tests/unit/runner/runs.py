"""Runs of one command under the runner, as a real process that hands in to a stand-in for S3."""

import base64
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.unit.runner.object_store import ObjectStore

RUNNER = Path(__file__).parents[3] / "base_template/files"
PYTHON = sys.executable
_READ = {"x86_64": "0", "aarch64": "63"}[platform.machine()]


class Run:
    """Runs one command under the runner, which a standby is that waits already, if there is `ahead`."""

    def __init__(self, store: ObjectStore, folder: Path, *, ahead: bool = False) -> None:
        self.store, self.folder, self.ahead = store, folder, ahead
        self.standbys: list[subprocess.Popen[bytes]] = []
        self.frames: list[dict[str, Any]] = []

    def __call__(self, *words: str, **options: Any) -> dict[str, Any]:
        with self.started(*words, **options) as process:
            output, log = process.communicate()
        assert log == b""
        assert process.returncode == 0
        return self.report(output)

    def started(
        self,
        *words: str,
        prompt: bytes | None = b"hi",
        timeout: float = 20,
        variables: Mapping[str, str] | None = None,
        **job: object,
    ) -> "subprocess.Popen[bytes]":
        self.prepare(*words)
        if self.ahead:
            self.stand_by()
        return self.handed_over(prompt=prompt, timeout=timeout, variables=variables, **job)

    def prepare(self, *words: str) -> None:
        """Write down a command as the build does."""
        lines = (str(self.folder), *words)
        (self.folder / "run").write_bytes(b"".join(word.encode() + b"\0" for word in lines))

    def stand_by(self) -> None:
        """Begin to wait, and return once an attempt can find that."""
        published = self.folder / "standby"
        self.standbys.append(self._shell("standby", self._environment()))
        _wait_until(lambda: published.exists() and bool(published.read_text()))

    def wait_until_booted(self) -> None:
        """Return once the standby waits for an attempt, and so does an interpreter of the agent's."""
        standby = self.standbys[-1].pid
        _wait_until(lambda: _reads(standby, 3) and all(_reads(child, 4) for child in self.interpreters()))

    def interpreters(self) -> list[int]:
        """Return the processes that the standby has started."""
        standby = self.standbys[-1].pid
        return [int(pid) for pid in Path(f"/proc/{standby}/task/{standby}/children").read_text().split()]

    def handed_over(
        self,
        *,
        prompt: bytes | None = b"hi",
        timeout: float = 20,
        variables: Mapping[str, str] | None = None,
        **job: object,
    ) -> "subprocess.Popen[bytes]":
        """Start the attempt of what was prepared."""
        environment = self._environment() | {
            "SECRET": "from the secret store",
            "CASTARI_JOB": json.dumps(self._job(timeout) | job),
            **(variables or {}),
        }
        if prompt is not None:
            environment["CASTARI_PROMPT"] = base64.b64encode(prompt).decode()
        return self._shell("start", environment)

    def report(self, output: bytes) -> dict[str, Any]:
        """Return the report of the closing frame."""
        self.frames = [json.loads(line) for line in output.splitlines()]
        report: dict[str, Any] = self.frames[-1]["report"]
        return report

    def wait_for_standbys(self) -> None:
        """Return once they have ended, all well."""
        while self.standbys:
            standby = self.standbys.pop()
            try:
                output, log = standby.communicate(timeout=30)
            finally:
                standby.kill()
            assert (output, log, standby.returncode) == (b"", b"", 0)

    def _environment(self) -> dict[str, str]:
        # The sandbox's shell starts whatever `python3` is.
        return {"PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}", "HOME": str(self.folder)}

    def _shell(self, file: str, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        command = ["bash", "-c", f". {RUNNER}/{file} {self.folder}/run"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _job(self, timeout: float) -> dict[str, Any]:
        return {
            "invocation_id": "inv_1",
            "attempt": 1,
            "attended": False,
            "timeout_seconds": timeout,
            "kept_bytes": 1_000_000,
            "inline_bytes": 1_000,
            "stderr_bytes": 1_000,
            "log_bytes": 50_000,
            "prompt_bytes": 1_000_000,
            "prompt_url": f"{self.store.url}/prompt?signature=s",
            "result_url": f"{self.store.url}/result?signature=s",
            "output_url": f"{self.store.url}/output?signature=s",
            "log_url": f"{self.store.url}/log?signature=s",
        }


def _wait_until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.005)


def _reads(pid: int, pipe: int) -> bool:
    """Tell whether a process waits in a read of this descriptor."""
    call = Path(f"/proc/{pid}/syscall").read_text().split()
    return call[:2] == [_READ, hex(pipe)]  # Another text where it is not in a call.
