"""Brings a branch of a git repository into the bundle bucket, to be deployed like any other bundle.

The clone happens in a sandbox of its own, which ends with it: the token is in no snapshot.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from castari.adapters.bundle_bucket import BundleBucket, is_checkout
from castari.adapters.hosts import Resolve, public_addresses, resolve
from castari.adapters.secret_store import SecretStore
from castari.errors import Unprocessable
from castari.models import GIT_SECRETS, Agent, Version
from castari.services.build_progress import BuildProgress
from castari.services.build_sandboxes import BuildFailed, BuildSandboxes
from castari.settings import Limits

_CLONE_SECONDS = 120
_URL_SECONDS = 300
_HTTPS_PORT = 443


@dataclass(frozen=True)
class Checkouts:
    """Makes the bundles of agents whose source is git."""

    building: BuildSandboxes
    bundles: BundleBucket
    secrets: SecretStore
    limits: Limits
    base_template: str
    resolve: Resolve = resolve

    async def bring(self, agent: Agent, version: Version, progress: BuildProgress) -> None:
        """Store the version's bundle, if it is a checkout and was not looked into yet.

        Raises `BuildFailed`, and `VendorUnavailable` if the sandbox cannot be had, or ended too early.
        """
        if not is_checkout(version.bundle_key) or version.source_hash:
            return
        job = await self._job(agent, version)
        stored = self.secrets.read(agent.agent_id, agent.secret_version_id)
        secrets: dict[str, SecretStr] = {name: stored[name] for name in GIT_SECRETS & stored.keys()}
        progress.keep_out(secrets.values())
        async with self.building.open(agent, version, self.base_template) as sandbox:
            await self.building.run(sandbox, ["clone"], job, secrets, progress)

    async def _job(self, agent: Agent, version: Version) -> dict[str, Any]:
        if agent.git_repo_url is None:
            raise BuildFailed("clone", "the agent has no `git_repo_url`", "set it, then deploy again")
        parts = urlsplit(agent.git_repo_url)
        try:
            addresses = await public_addresses(parts.hostname or "", parts.port or _HTTPS_PORT, self.resolve)
        except Unprocessable as error:
            raise BuildFailed("clone", f"git clone failed: {error}", "correct `git_repo_url`") from error
        return {
            "url": agent.git_repo_url,
            "branch": agent.git_branch,
            "addresses": list(addresses),
            "bundle_put_url": self.bundles.sandbox_put_url(version.bundle_key, seconds=_URL_SECONDS),
            "bundle_bytes": self.limits.bundle_bytes,
            "clone_seconds": _CLONE_SECONDS,
        }
