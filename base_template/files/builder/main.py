"""Carries out the steps that the control plane asked for, and ends with one frame: done or failed."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.process import JOB_VARIABLE
from runner.report import write_frame

from builder import bundle, clone, install, python, transfer, tree, unpack
from builder.failure import StepFailed
from builder.places import Places


def main() -> int:
    """Run the steps of the job in the environment, in order."""
    job: dict[str, Any] = json.loads(os.environ.pop(JOB_VARIABLE))
    places = Places(Path.home())
    build = Build(job, places)
    for step in job["steps"]:
        write_frame("step_started", step=step)
        began = time.monotonic()
        try:
            note = build.steps[step]()
        except StepFailed as failed:
            write_frame("failed", step=step, reason=failed.reason, remedy=failed.remedy, tail=failed.tail)
            return 0
        write_frame("step_done", step=step, seconds=round(time.monotonic() - began, 3), note=note)
    places.remove_traces()
    write_frame("done")
    return 0


class Build:
    """The steps by name; each returns what it did, in words."""

    def __init__(self, job: dict[str, Any], places: Places) -> None:
        self._job, self._places = job, places
        self.steps: dict[str, Callable[[], str]] = {
            "clone": self._clone,
            "fetch": self._fetch,
            "unpack": self._unpack,
            "install": self._install,
            "build": self._build,
            "bundle": self._bundle,
            "pack": self._pack,
            "restore": self._restore,
        }

    def _clone(self) -> str:
        note = clone.clone(self._places, self._job)
        transfer.upload(self._places.bundle, self._job["bundle_put_url"])
        return note

    def _fetch(self) -> str:
        digest = transfer.download(
            self._job["bundle_url"], self._places.bundle, limit_bytes=self._job["bundle_bytes"]
        )
        if digest != self._job["bundle_sha256"]:
            raise StepFailed("the bundle changed after it was checked", "upload it under a new name")
        return f"{self._places.bundle.stat().st_size} bytes"

    def _unpack(self) -> str:
        unpack.clear(self._places.agent, keep_dependencies=self._job["keep_dependencies"])
        files = unpack.unpack(
            self._places.bundle, self._job["bundle_format"], self._job["root"], self._places.agent
        )
        return f"{files} files"

    def _install(self) -> str:
        installs = {"node": install.install, "python": python.install}
        return installs[self._job["runtime"]](
            self._places, self._job["build_secrets"], self._job["install_seconds"]
        )

    def _build(self) -> str:
        return install.run_build_script(self._places, self._job["install_seconds"])

    def _bundle(self) -> str:
        entrypoint = self._job["entrypoint"]
        if not (self._places.agent / entrypoint).is_file():
            raise StepFailed(
                f"the build made no `{entrypoint}`, which castari.json names as `entrypoint`",
                "name the file that the `build` script writes",
            )
        prepares = {"node": bundle.bundle, "python": python.prepare}
        words, note = prepares[self._job["runtime"]](self._places, entrypoint)
        text = "".join(f"{word}\0" for word in (str(self._places.agent), *words))
        self._places.run_file.parent.mkdir(parents=True, exist_ok=True)
        self._places.run_file.write_text(text, "utf-8")
        return note

    def _pack(self) -> str:
        secrets = {name: os.environ[name] for name in self._job["build_secrets"] if name in os.environ}
        tree.pack(self._places.agent, self._places.bundle, secrets)
        transfer.upload(self._places.bundle, self._job["tree_put_url"])
        return f"{self._places.bundle.stat().st_size} bytes"

    def _restore(self) -> str:
        transfer.download(self._job["tree_get_url"], self._places.bundle, limit_bytes=self._job["tree_bytes"])
        unpack.clear(self._places.agent, keep_dependencies=False)
        tree.restore(self._places.bundle, self._places.agent)
        return "the built tree, in a clean sandbox"
