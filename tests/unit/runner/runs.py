"""Runs of one command under the runner, as a real process that hands in to a stand-in for S3."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.unit.runner.object_store import ObjectStore

RUNNER = Path(__file__).parents[3] / "base_template/files"
PYTHON = sys.executable


class Run:
    """Runs one command under the runner."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.frames: list[dict[str, Any]] = []

    def __call__(self, *words: str, **options: Any) -> dict[str, Any]:
        with self.started(*words, **options) as process:
            output, log = process.communicate()
        assert log == b""
        assert process.returncode == 0
        self.frames = [json.loads(line) for line in output.splitlines()]
        report: dict[str, Any] = self.frames[-1]["report"]
        return report

    def started(
        self, *words: str, prompt: bytes | None = b"hi", timeout: float = 20, **job: object
    ) -> "subprocess.Popen[bytes]":
        run_file = self.folder / "run"
        run_file.write_bytes(b"".join(word.encode() + b"\0" for word in (str(self.folder), *words)))
        environment = {
            # The sandbox's shell starts whatever `python3` is.
            "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "SECRET": "from the secret store",
            "CASTARI_JOB": json.dumps(self._job(timeout) | job),
        }
        if prompt is not None:
            environment["CASTARI_PROMPT"] = base64.b64encode(prompt).decode()
        command = ["bash", "-c", f". {RUNNER}/start {run_file}"]
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
