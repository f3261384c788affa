"""Builds a bundle in a sandbox and keeps the result as a snapshot."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.secret_store import SecretStore
from castari.errors import CastariError, CommandTimedOut, SandboxLost, SandboxMissing, VendorUnavailable
from castari.models import Agent, SandboxAccess, Version
from castari.services.archives import Bundle
from castari.services.redaction import redact
from castari.settings import Limits

_COMMAND = "exec python3 -I -S /opt/castari build"
_TREE_BYTES = 2 * 1024**3
_LOCKFILES = frozenset({"package-lock.json", "npm-shrinkwrap.json"})
_LIFECYCLE_SCRIPTS = frozenset({"preinstall", "install", "postinstall", "prepare"})
_TAIL_CHARACTERS = 2_000
_URL_SECONDS = 900


class BuildFailed(CastariError):
    """A step failed: which, why, what to do, and how its output ended."""

    def __init__(self, step: str, reason: str, remedy: str, tail: str = "") -> None:
        super().__init__(f"{reason} (step `{step}`). To mend it: {remedy}", remedy=remedy)
        self.step, self.reason, self.tail = step, reason, tail


@dataclass(frozen=True)
class Built:
    """What a build leaves: a snapshot to run from, and one to build the next version from."""

    snapshot_id: str
    dependencies_snapshot_id: str | None
    steps: list[dict[str, Any]]


def dependencies_key(bundle: Bundle, base_template: str) -> str | None:
    """Return what decides the outcome of an install, hashed, or None if something else decides too.

    Without a lockfile, with scripts of the package's own, or with secrets, an install is done each time.
    """
    files = bundle.install_files
    if not _LOCKFILES & files.keys() or bundle.manifest.build_secrets:
        return None
    with suppress(ValueError, AttributeError):
        if _LIFECYCLE_SCRIPTS & set(json.loads(files.get("package.json", b"{}")).get("scripts") or {}):
            return None
    digest = hashlib.sha256(base_template.encode())
    for name in sorted(files):
        digest.update(b"\0" + name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Builds:
    """Runs the builder's steps in sandboxes that end with the build."""

    sandboxes: Sandboxes
    bundles: BundleBucket
    secrets: SecretStore
    limits: Limits
    base_template: str

    async def build(self, agent: Agent, version: Version, bundle: Bundle, reuse: str | None) -> Built:
        """Make a bundle runnable; `reuse` is a snapshot with its dependencies.

        Raises `BuildFailed`, and `VendorUnavailable` if no sandbox can be had.
        """
        if bundle.manifest.build_secrets:
            return await self._build_with_secrets(agent, version, bundle)
        job = self._job(version, bundle)
        if reuse:
            with suppress(SandboxMissing):
                return await self._build_on(reuse, agent, version, job)
        return await self._build_whole(agent, version, job)

    async def _build_on(self, reuse: str, agent: Agent, version: Version, job: dict[str, Any]) -> Built:
        async with self._sandbox(agent, version, reuse) as sandbox:
            steps = await self._run(
                sandbox, ["fetch", "unpack", *job["last_steps"]], job | {"keep_dependencies": True}, {}
            )
            return Built(await self._snapshot(sandbox), reuse, steps)

    async def _build_whole(self, agent: Agent, version: Version, job: dict[str, Any]) -> Built:
        async with self._sandbox(agent, version, self.base_template) as sandbox:
            steps = await self._run(sandbox, ["fetch", "unpack", "install"], job, {})
            dependencies = await self._snapshot(sandbox) if version.lockfile_hash else None
            steps += await self._run(sandbox, job["last_steps"], job, {})
            return Built(await self._snapshot(sandbox), dependencies, steps)

    async def _build_with_secrets(self, agent: Agent, version: Version, bundle: Bundle) -> Built:
        """Install where the secrets are, and snapshot where they never were."""
        secrets = self._build_secrets(agent, bundle)
        key = f"built/{version.version_id}.tar.gz"
        job = self._job(version, bundle) | {
            "tree_put_url": self.bundles.sandbox_put_url(key, seconds=_URL_SECONDS),
            "tree_get_url": self.bundles.sandbox_get_url(key, seconds=_URL_SECONDS),
            "tree_bytes": _TREE_BYTES,
        }
        try:
            async with self._sandbox(agent, version, self.base_template) as sandbox:
                steps = await self._run(sandbox, ["fetch", "unpack", "install", "pack"], job, secrets)
            async with self._sandbox(agent, version, self.base_template) as clean:
                steps += await self._run(clean, ["restore", *job["last_steps"]], job, {})
                return Built(await self._snapshot(clean), None, steps)
        finally:
            with suppress(VendorUnavailable):
                self.bundles.delete([key])

    def _build_secrets(self, agent: Agent, bundle: Bundle) -> dict[str, SecretStr]:
        names = bundle.manifest.build_secrets
        values = self.secrets.read(agent.agent_id, agent.secret_version_id)
        missing = [name for name in names if name not in values]
        if missing:
            raise BuildFailed(
                "install",
                f"castari.json names build_secrets that the agent has not: {', '.join(missing)}",
                f"`cast secrets set {agent.slug} {missing[0]}`, then deploy again",
            )
        return {name: values[name] for name in names}

    def _job(self, version: Version, bundle: Bundle) -> dict[str, Any]:
        return {
            "bundle_url": self.bundles.sandbox_get_url(version.bundle_key, seconds=_URL_SECONDS),
            "bundle_sha256": bundle.sha256,
            "bundle_format": bundle.format,
            "bundle_bytes": self.limits.bundle_bytes,
            "root": bundle.root,
            "entrypoint": bundle.manifest.entrypoint,
            "runtime": bundle.manifest.runtime,
            "last_steps": ["build", "bundle"] if bundle.manifest.build else ["bundle"],
            "keep_dependencies": False,
            "build_secrets": bundle.manifest.build_secrets,
            "install_seconds": self.limits.deploy_timeout_seconds * 3 // 4,
        }

    @asynccontextmanager
    async def _sandbox(self, agent: Agent, version: Version, template: str) -> AsyncIterator[SandboxAccess]:
        """Make a build sandbox, and end it with the block."""
        sandbox = await self.sandboxes.create(
            template,
            timeout_seconds=self.limits.deploy_timeout_seconds,
            metadata={
                "kind": "build",
                "agent_id": agent.agent_id,
                "user_id": agent.user_id,
                "version_id": version.version_id,
            },
            idempotency_key=uuid.uuid4().hex,
        )
        try:
            yield sandbox
        finally:
            with suppress(VendorUnavailable):
                await self.sandboxes.kill(sandbox.sandbox_id)

    async def _snapshot(self, sandbox: SandboxAccess) -> str:
        try:
            return await self.sandboxes.snapshot(sandbox.sandbox_id)
        except (SandboxLost, SandboxMissing) as error:
            raise _vanished("snapshot") from error

    async def _run(
        self, sandbox: SandboxAccess, steps: Sequence[str], job: dict[str, Any], secrets: dict[str, SecretStr]
    ) -> list[dict[str, Any]]:
        """Carry out steps; return each with its seconds and what was done."""
        environment = secrets | {"CASTARI_JOB": SecretStr(json.dumps(job | {"steps": list(steps)}))}
        progress = _Progress(steps[0], list(secrets.values()))
        try:
            command = await self.sandboxes.start(
                sandbox,
                _COMMAND,
                environment=environment,
                timeout_seconds=self.limits.deploy_timeout_seconds,
            )
            try:
                async for frame in command.frames():
                    if progress.take(frame):
                        return progress.done
            finally:
                await command.let_go()
        except CommandTimedOut as error:
            raise BuildFailed(
                progress.step, "the deploy took too long", "make its install or code smaller"
            ) from error
        except (SandboxLost, SandboxMissing) as error:
            raise _vanished(progress.step) from error
        raise _vanished(progress.step)


class _Progress:
    """Follows the frames of a build: a stranger's words, so secrets are taken out and lengths bounded."""

    def __init__(self, step: str, secrets: list[SecretStr]) -> None:
        self.step, self._secrets = step, secrets
        self.done: list[dict[str, Any]] = []

    def take(self, frame: dict[str, Any]) -> bool:
        """Take a frame in; tell whether all is done. Raises `BuildFailed`."""
        if frame["castari"] == "step_started":
            self.step = self._text(frame, "step", 50)
        elif frame["castari"] == "step_done":
            note, seconds = self._text(frame, "note", 300), frame.get("seconds")
            self.done.append({"step": self.step, "seconds": seconds, "note": note})
        elif frame["castari"] == "failed":
            reason, remedy = self._text(frame, "reason", 500), self._text(frame, "remedy", 500)
            raise BuildFailed(self.step, reason, remedy, self._text(frame, "tail", _TAIL_CHARACTERS))
        return bool(frame["castari"] == "done")

    def _text(self, frame: dict[str, Any], name: str, characters: int) -> str:
        return redact(str(frame.get(name, "")), self._secrets)[-characters:]


def _vanished(step: str) -> BuildFailed:
    return BuildFailed(step, "the build's sandbox ended before its time", "deploy again")
