"""The end of a deploy: the new version serves, or the former one serves on and it is said why."""

from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.tables.build_logs import BuildLogsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import StaleWrite, VendorUnavailable
from castari.messages import TidyAgent
from castari.models import Agent, Version
from castari.services.build_logs import BuildLog
from castari.services.switches import Switches
from castari.services.warm import WarmPool

_MESSAGE_CHARACTERS = 3_500
_DIED = (
    "the deploy was interrupted twice and did not end: deploy again; if it stays so, ask the operator to look"
    " into the dead letter queue"
)


@dataclass(frozen=True)
class Handovers:
    """Each can be done again from any point."""

    versions: VersionsTable
    logs: BuildLogsTable
    switches: Switches
    pool: WarmPool
    maintenance: Queue
    clock: Clock = utc_now

    async def hand_over(self, agent: Agent, version: Version, log: BuildLog) -> str:
        """Make a version serve that was built; tell what became of it. Raises `StaleWrite`."""
        warm = await self._first_warm(agent, version)
        before = self.switches.switch_to(version, warm)
        if before is None:
            await self.pool.drain(version.version_id)
            self.versions.change(version, {"status": "superseded", "lease_expires_at": None})
            log.note("superseded: another version was chosen after this deploy began")
            return "superseded"
        self.versions.change(version, {"status": "ready", "lease_expires_at": None, "message": None})
        log.note(f"active as version {version.number}")
        if before.status == "stopped":
            await self.pool.drain(version.version_id)
        if before.active_version and before.active_version.version_id != version.version_id:
            await self.pool.drain(before.active_version.version_id)
        self.tidy(agent)
        return f"active as version {version.number}"

    def fail(self, version: Version, log: BuildLog, message: str, *, gave_up: bool = False) -> str:
        """Record a failure; the version that serves goes on serving."""
        short = message[:_MESSAGE_CHARACTERS]
        changes = {"status": "failed", "message": short, "lease_expires_at": None, "gave_up": gave_up}
        with suppress(StaleWrite):
            self.versions.change(version, changes)
            log.failed(short)
            self.switches.give_up(version, short)
        return f"failed: {message.splitlines()[0]}"

    def abandon(self, version: Version) -> str:
        """Record that no worker lived to end a deploy."""
        return self.fail(version, BuildLog(self.logs, version.version_id, self.clock), _DIED, gave_up=True)

    def tidy(self, agent: Agent) -> None:
        """Have removed what only former versions needed; should it fail, the next deploy does it."""
        with suppress(VendorUnavailable):
            self.maintenance.send(TidyAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id))

    async def _first_warm(self, agent: Agent, version: Version) -> str | None:
        """Make a sandbox before the switch, so that the first invocation after it finds one."""
        if self.pool.keeps_any(agent) and version.snapshot_id:
            with suppress(VendorUnavailable):
                made = await self.pool.add(agent, version.version_id, version.snapshot_id)
                return made.sandbox_id
        return None
