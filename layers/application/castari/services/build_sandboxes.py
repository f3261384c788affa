"""Sandboxes in which the builder's steps run: each ends with its block, however that ends."""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import SecretStr

from castari.adapters.sandboxes import Sandboxes
from castari.errors import CastariError, CommandTimedOut, SandboxLost, SandboxMissing, VendorUnavailable
from castari.models import Agent, SandboxAccess, Version
from castari.services.build_progress import BuildProgress
from castari.services.capacity import Capacity
from castari.settings import Limits

_COMMAND = "exec python3 -I -S /opt/castari build"
_TAIL_CHARACTERS = 2_000


class BuildFailed(CastariError):
    """A step failed: which, why, what to do, and how its output ended."""

    def __init__(self, step: str, reason: str, remedy: str, tail: str = "") -> None:
        super().__init__(f"{reason} (step `{step}`). To mend it: {remedy}", remedy=remedy)
        self.step, self.reason, self.tail = step, reason, tail


class SnapshotGone(VendorUnavailable):
    """A snapshot that a build should start from is not there any more."""


@dataclass(frozen=True)
class BuildSandboxes:
    """Makes them and talks to the builder in them."""

    sandboxes: Sandboxes
    capacity: Capacity
    limits: Limits

    @asynccontextmanager
    async def open(self, agent: Agent, version: Version, template: str) -> AsyncIterator[SandboxAccess]:
        """Make a build sandbox, and end it with the block. Raises `SnapshotGone`, `VendorUnavailable`."""
        create = partial(
            self.sandboxes.create,
            template,
            timeout_seconds=self.limits.deploy_timeout_seconds,
            metadata={
                "kind": "build",
                "agent_id": agent.agent_id,
                "user_id": agent.user_id,
                "version_id": version.version_id,
                "attempt": str(version.attempt),
            },
            idempotency_key=uuid.uuid4().hex,
        )
        try:
            sandbox = await self.capacity.make(self.capacity.take("build"), create)
        except SandboxMissing as error:
            raise SnapshotGone("the template of the build sandbox is not there") from error
        try:
            yield sandbox
        finally:
            with suppress(VendorUnavailable):
                await self.sandboxes.kill(sandbox.sandbox_id)

    async def snapshot(self, sandbox: SandboxAccess, progress: BuildProgress) -> str:
        """Keep the state of a build. Raises `VendorUnavailable`."""
        progress.step = "snapshot"
        try:
            return await self.sandboxes.snapshot(sandbox.sandbox_id)
        except (SandboxLost, SandboxMissing) as error:
            raise _vanished(progress.step) from error

    async def run(
        self,
        sandbox: SandboxAccess,
        steps: Sequence[str],
        job: dict[str, Any],
        secrets: dict[str, SecretStr],
        progress: BuildProgress,
    ) -> None:
        """Carry out steps, each with its progress. Raises `BuildFailed`, `VendorUnavailable`."""
        environment = secrets | {"CASTARI_JOB": SecretStr(json.dumps(job | {"steps": list(steps)}))}
        progress.step = steps[0]
        try:
            command = await self.sandboxes.start(
                sandbox,
                _COMMAND,
                environment=environment,
                timeout_seconds=self.limits.deploy_timeout_seconds,
            )
            try:
                async for frame in command.frames():
                    if frame["castari"] == "done":
                        return
                    if frame["castari"] == "failed":
                        raise _failed(frame, progress)
                    progress.take(frame)
            finally:
                await command.let_go()
        except CommandTimedOut as error:
            raise BuildFailed(
                progress.step, "the deploy took too long", "make its install or code smaller"
            ) from error
        except (SandboxLost, SandboxMissing) as error:
            raise _vanished(progress.step) from error
        raise _vanished(progress.step)


def _failed(frame: dict[str, Any], progress: BuildProgress) -> BuildFailed:
    reason, remedy = progress.text(frame, "reason", 500), progress.text(frame, "remedy", 500)
    return BuildFailed(progress.step, reason, remedy, progress.text(frame, "tail", _TAIL_CHARACTERS))


def _vanished(step: str) -> VendorUnavailable:
    return VendorUnavailable(f"the build's sandbox ended before its time (step `{step}`): deploy again")
