"""Builds a bundle in a sandbox and keeps the result as a snapshot."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.secret_store import SecretStore
from castari.errors import VendorUnavailable
from castari.models import Agent, Version
from castari.services.archives import Bundle
from castari.services.build_progress import BuildProgress
from castari.services.build_sandboxes import BuildFailed, BuildSandboxes, SnapshotGone
from castari.settings import Limits

_TREE_BYTES = 2 * 1024**3
_URL_SECONDS = 900


@dataclass(frozen=True)
class Builds:
    """Runs the builder's steps in sandboxes that end with the build."""

    building: BuildSandboxes
    bundles: BundleBucket
    secrets: SecretStore
    limits: Limits
    base_template: str

    async def build(
        self, agent: Agent, version: Version, bundle: Bundle, reuse: str | None, progress: BuildProgress
    ) -> None:
        """Make a bundle runnable and give the snapshots to `progress`; `reuse` is one with its dependencies.

        Raises `BuildFailed`, and `VendorUnavailable` if a sandbox cannot be had, or ended too early.
        """
        if bundle.manifest.build_secrets:
            await self._build_with_secrets(agent, version, bundle, progress)
            return
        job = self._job(version, bundle)
        if reuse:
            with suppress(SnapshotGone):
                await self._build_on(reuse, agent, version, job, progress)
                return
        await self._build_whole(agent, version, job, progress)

    async def _build_on(
        self, reuse: str, agent: Agent, version: Version, job: dict[str, Any], progress: BuildProgress
    ) -> None:
        async with self.building.open(agent, version, reuse) as sandbox:
            progress.reuse(reuse)
            progress.log.note("the lockfile is known: its installed dependencies are used again")
            job = job | {"keep_dependencies": True}
            await self.building.run(sandbox, ["fetch", "unpack", *job["last_steps"]], job, {}, progress)
            snapshot_id = await self.building.snapshot(sandbox, progress)
            await progress.keep(snapshot_id=snapshot_id)

    async def _build_whole(
        self, agent: Agent, version: Version, job: dict[str, Any], progress: BuildProgress
    ) -> None:
        async with self.building.open(agent, version, self.base_template) as sandbox:
            await self.building.run(sandbox, ["fetch", "unpack", "install"], job, {}, progress)
            dependencies = await self.building.snapshot(sandbox, progress) if version.lockfile_hash else None
            if dependencies:
                await progress.keep(dependencies_snapshot_id=dependencies)
            await self.building.run(sandbox, job["last_steps"], job, {}, progress)
            await progress.keep(snapshot_id=await self.building.snapshot(sandbox, progress))

    async def _build_with_secrets(
        self, agent: Agent, version: Version, bundle: Bundle, progress: BuildProgress
    ) -> None:
        """Install where the secrets are, and snapshot where they never were."""
        secrets = self._build_secrets(agent, bundle)
        progress.keep_out(secrets.values())
        key = f"built/{version.version_id}.tar.gz"
        job = self._job(version, bundle) | {
            "tree_put_url": self.bundles.sandbox_put_url(key, seconds=_URL_SECONDS),
            "tree_get_url": self.bundles.sandbox_get_url(key, seconds=_URL_SECONDS),
            "tree_bytes": _TREE_BYTES,
        }
        try:
            async with self.building.open(agent, version, self.base_template) as sandbox:
                steps = ["fetch", "unpack", "install", "pack"]
                await self.building.run(sandbox, steps, job, secrets, progress)
            async with self.building.open(agent, version, self.base_template) as clean:
                await self.building.run(clean, ["restore", *job["last_steps"]], job, {}, progress)
                await progress.keep(snapshot_id=await self.building.snapshot(clean, progress))
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
