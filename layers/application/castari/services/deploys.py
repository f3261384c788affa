"""Deploys: from an uploaded bundle to the version that serves, without a moment in which none does."""

import time
from contextlib import suppress
from dataclasses import dataclass, field

from castari.adapters.bundle_bucket import is_checkout
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.build_logs import BuildLogsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import CastariError, NotFound, StaleWrite, Unprocessable, VendorUnavailable
from castari.messages import DeployBundle
from castari.models import Agent, Version
from castari.services.archives import Bundle
from castari.services.build_logs import BuildLog
from castari.services.build_progress import BuildProgress
from castari.services.build_sandboxes import BuildFailed
from castari.services.builds import Builds
from castari.services.bundles import Bundles
from castari.services.checkouts import Checkouts
from castari.services.claims import MOST_ATTEMPTS, Claims
from castari.services.dependencies import dependencies_key
from castari.services.handovers import Handovers
from castari.services.leftovers import Leftovers
from castari.services.switches import Switches

_LOOK_BACK = 10
"""So many earlier versions may lend their dependencies."""


class DeployAbandoned(CastariError):
    """The deploy was given up for a reason of the platform's: its message is kept for the operator."""


@dataclass(frozen=True)
class Deploys:
    """Makes a bundle runnable and switches its agent to it."""

    agents: AgentsTable
    versions: VersionsTable
    logs: BuildLogsTable
    bundles: Bundles
    checkouts: Checkouts
    builds: Builds
    claims: Claims
    leftovers: Leftovers
    switches: Switches
    handovers: Handovers
    base_template: str
    clock: Clock = utc_now

    async def deploy(self, request: DeployBundle) -> str:
        """Deploy a bundle; tell what became of it. A second delivery of a request builds nothing.

        Raises what makes a retry worth while, and `DeployAbandoned` once there is none to come.
        """
        try:
            agent = self.agents.get(request.agent.user_id, request.agent.slug)
        except NotFound:
            return "no such agent"
        found = self.claims.find(agent.agent_id, request)
        if found is None:
            return await self._first(agent, request)
        if found.status != "building":
            return _known(found)
        if self.claims.is_held(found):
            return "being built already"
        return await self._again(agent, found)

    async def _first(self, agent: Agent, request: DeployBundle) -> str:
        if request.attempt == 1:
            self.claims.watch(agent.agent_id, request)
        bundle, refusal = self._look_into(request)
        if bundle and (unchanged := await self._unchanged(agent, request, bundle)):
            return unchanged
        try:
            numbered = self.switches.next_number(agent, request.requested_at)
        except NotFound:
            return "no such agent"  # Not any more.
        version = self.claims.first(agent, request, numbered.number)
        if bundle:
            version = version.model_copy(update=self._description(version, bundle))
        try:
            self.versions.create(version)
        except StaleWrite:
            return "being built already"
        if numbered.late:
            return self._superseded(version)
        if refusal:
            return self.handovers.fail(version, self._log(version), refusal)
        return await self._carry_out(agent, version, bundle)

    async def _again(self, agent: Agent, found: Version) -> str:
        """Go on with the deploy of a worker that died, or gave up, unless it was the last that may."""
        if found.attempt >= MOST_ATTEMPTS:
            return self.handovers.abandon(found)
        try:
            version = self.claims.take_over(found)
        except StaleWrite:
            return "being built already"
        await self.leftovers.remove(version)
        return await self._carry_out(agent, version, None)

    async def _carry_out(self, agent: Agent, version: Version, bundle: Bundle | None) -> str:
        log = self._log(version)
        try:
            async with self.claims.kept(version):
                if version.snapshot_id is None:
                    version = await self._built(agent, version, bundle, log)
                return await self.handovers.hand_over(agent, version, log)
        except BuildFailed as error:
            tail = f"\n\n{error.tail}" if error.tail else ""
            return self.handovers.fail(version, log, f"{error}{tail}")
        except (Unprocessable, NotFound) as error:
            return self.handovers.fail(version, log, str(error))
        except StaleWrite:
            return "another worker went on with it"
        except Exception as error:
            self._interrupted(version, log, error)
            raise

    async def _built(self, agent: Agent, version: Version, bundle: Bundle | None, log: BuildLog) -> Version:
        """Build, and write down what comes of it as soon as it does."""
        record = _Record(self.versions, version)
        progress = BuildProgress(log, record.write, self.leftovers.forget)
        log.note(f"version {version.number} of {agent.slug}, attempt {version.attempt}")
        await self.checkouts.bring(agent, version, progress)
        bundle = bundle or self.bundles.check(version.bundle_key)
        if not version.source_hash:
            record.write(self._description(version, bundle))
        for warning in bundle.warnings:
            log.note(f"warning: {warning}")
        await self.builds.build(agent, record.version, bundle, self._reusable(record.version), progress)
        return record.version

    def _interrupted(self, version: Version, log: BuildLog, error: Exception) -> None:
        reason = str(error) if isinstance(error, CastariError) else "a reason inside the platform"
        if version.attempt < MOST_ATTEMPTS:
            log.note(f"interrupted, another worker tries once more: {reason}")
            self.claims.release(version)
        else:
            self.handovers.fail(version, log, f"{reason} (nothing is wrong with the bundle)", gave_up=True)

    def _superseded(self, version: Version) -> str:
        self._log(version).note("superseded: a deploy that was asked for later began first")
        self.versions.change(version, {"status": "superseded", "lease_expires_at": None})
        return "superseded"

    def _look_into(self, request: DeployBundle) -> tuple[Bundle | None, str]:
        """Return what is in the bundle, or why it is refused; neither if the platform fails at it."""
        if is_checkout(request.bundle_key):
            return None, ""
        try:
            return self.bundles.check(request.bundle_key), ""
        except (Unprocessable, NotFound) as error:
            # S3 events come late; the bundle may be replaced or deleted by now.
            return None, str(error)
        except Exception:  # noqa: BLE001 - it comes again below, when there is a version to tell of it
            return None, ""

    async def _unchanged(self, agent: Agent, request: DeployBundle, bundle: Bundle) -> str | None:
        """Tell if there is nothing to build: the bundle serves already, or is being built right now."""
        newest = next(iter(self.versions.list(agent.agent_id, limit=1)), None)
        if newest and newest.source_hash == bundle.sha256 and newest.status == "building":
            return "being built already" if self.claims.is_held(newest) else None
        active = agent.active_version
        if active is None or self._hash_of(agent, active.version_id) != bundle.sha256:
            return None
        self.switches.serve_on(agent, request.bundle_key, request.requested_at)
        with suppress(VendorUnavailable):
            # It may have been stopped: then what waited for invocations is gone.
            await self.handovers.pool.refill(agent.user_id, agent.slug)
        return "nothing changed"

    def _hash_of(self, agent: Agent, version_id: str) -> str | None:
        with suppress(NotFound):
            return self.versions.get(agent.agent_id, version_id).source_hash
        return None

    def _description(self, version: Version, bundle: Bundle) -> dict[str, object]:
        return {
            "source_hash": bundle.sha256,
            "lockfile_hash": dependencies_key(bundle.install_files, bundle.manifest, self.base_template),
            "manifest": bundle.manifest.model_dump(exclude_defaults=True),
            "size_bytes": bundle.size_bytes,
            "warnings": bundle.warnings,
            "created_by": version.created_by or self.bundles.put_by(version.bundle_key),
        }

    def _reusable(self, version: Version) -> str | None:
        """Return a snapshot in which the same dependencies are installed."""
        if version.lockfile_hash is None:
            return None
        for earlier in self.versions.list(version.agent_id, limit=_LOOK_BACK):
            if earlier.lockfile_hash == version.lockfile_hash and earlier.dependencies_snapshot_id:
                return earlier.dependencies_snapshot_id
        return None

    def _log(self, version: Version) -> BuildLog:
        return BuildLog(self.logs, version.version_id, self.clock)


@dataclass
class _Record:
    """A version's row during its build."""

    versions: VersionsTable
    version: Version
    began: float = field(default_factory=time.monotonic)

    def write(self, changes: dict[str, object]) -> None:
        took = round((time.monotonic() - self.began) * 1000)
        changed = self.version.model_copy(update={**changes, "build_milliseconds": took})
        self.versions.change(self.version, changed.model_dump(include={*changes, "build_milliseconds"}))
        self.version = changed


def _known(version: Version) -> str:
    """Tell how a deploy ended that is over. Raises `DeployAbandoned` where the platform gave up."""
    if version.gave_up:
        raise DeployAbandoned(f"version {version.version_id} was given up: see its message")
    return f"ended as {version.status} already"
