"""Removes all that an agent had, and keeps a note of how far it got until nothing is left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.results import ResultBucket
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.secret_store import SecretStore
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.build_logs import BuildLogsTable
from castari.adapters.tables.deletions import DeletionsTable
from castari.adapters.tables.invocations import InvocationsTable
from castari.adapters.tables.versions import VersionsTable
from castari.errors import CastariError, NotFound, VendorUnavailable
from castari.messages import DeleteAgent
from castari.models import Deletion, DeletionStep
from castari.services.cancels import Cancels
from castari.services.session_ends import SessionEnds
from castari.services.warm import WarmPool

_PAGE = 200


@dataclass(frozen=True)
class Deletions:
    """Each step can be done again: first what runs, then what costs, the versions that name the rest last."""

    agents: AgentsTable
    table: DeletionsTable
    versions: VersionsTable
    logs: BuildLogsTable
    invocations: InvocationsTable
    sandboxes: Sandboxes
    secrets: SecretStore
    callback_secrets: SecretStore
    bundles: BundleBucket
    results: ResultBucket
    pool: WarmPool
    cancels: Cancels
    session_ends: SessionEnds

    async def delete(self, message: DeleteAgent) -> str:
        """Remove an agent and all it has. Raises what interrupted it, once that is written down."""
        deletion = deletion_of(message)
        self.table.put(deletion)
        self._delete_row(message)
        for step, remove in self._steps().items():
            try:
                await remove(message)
            except CastariError as error:
                self._interrupted(deletion, f"interrupted at {step}: {error}")
                raise
            deletion = deletion.model_copy(update={"done": (*deletion.done, step)})
            self.table.put(deletion)
        self.table.delete(deletion)
        return "everything removed"

    def _steps(self) -> dict[DeletionStep, Callable[[DeleteAgent], Awaitable[None]]]:
        return {
            "sandboxes": self._end_sandboxes,
            "secrets": self._delete_secrets,
            "bundles": self._delete_bundles,
            "invocations": self._delete_invocations,
            "versions": self._delete_versions,
        }

    def _interrupted(self, deletion: Deletion, message: str) -> None:
        with suppress(VendorUnavailable):
            self.table.put(deletion.model_copy(update={"message": message}))

    def _delete_row(self, message: DeleteAgent) -> None:
        with suppress(NotFound):
            agent = self.agents.get(message.user_id, message.slug)
            if agent.agent_id == message.agent_id:
                self.agents.delete(agent)

    async def _end_sandboxes(self, message: DeleteAgent) -> None:
        await self.end_sandboxes(message.agent_id, why="its agent was deleted")

    async def end_sandboxes(self, agent_id: str, *, why: str) -> int:
        """End every sandbox and session of an agent and cancel what waits; return how many ran."""
        for version in self.versions.all(agent_id):
            await self.pool.drain(version.version_id)
        self.session_ends.end_all(agent_id, why)
        self.cancels.cancel_all(agent_id)
        running = [sandbox_id async for sandbox_id in self._sandboxes_of(agent_id)]
        return sum([await self.sandboxes.kill(sandbox_id) for sandbox_id in running])

    async def _sandboxes_of(self, agent_id: str) -> AsyncIterator[str]:
        async for sandbox in self.sandboxes.list(agent_id=agent_id):
            yield sandbox.sandbox_id

    async def _delete_secrets(self, message: DeleteAgent) -> None:
        self.secrets.delete(message.agent_id)
        self.callback_secrets.delete(message.agent_id)

    async def _delete_bundles(self, message: DeleteAgent) -> None:
        for folder in ("bundles", "staged"):
            prefix = f"{folder}/{message.user_id}/{message.slug}/"
            self.bundles.delete(self.bundles.keys(prefix, stored_before=message.requested_at))

    async def _delete_invocations(self, message: DeleteAgent) -> None:
        while page := self.invocations.list_for_agent(message.agent_id, limit=_PAGE, offset=0):
            for invocation in page:
                self.results.delete(invocation)
                self.invocations.delete(invocation.invocation_id)
        self.session_ends.forget_all(message.agent_id)

    async def _delete_versions(self, message: DeleteAgent) -> None:
        for version in self.versions.all(message.agent_id):
            for snapshot_id in {version.snapshot_id, version.dependencies_snapshot_id} - {None}:
                await self.sandboxes.delete_snapshot(str(snapshot_id))
            self.logs.delete(version.version_id)
            self.versions.delete(version)


def deletion_of(message: DeleteAgent) -> Deletion:
    """Return a deletion of which nothing is done yet."""
    return Deletion(
        user_id=message.user_id,
        agent_id=message.agent_id,
        slug=message.slug,
        requested_at=message.requested_at,
    )
