"""Agents: made, read, changed, stopped and deleted."""

import builtins
import re
from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.deletions import DeletionsTable
from castari.clock import Clock, utc_now
from castari.errors import Conflict, Unprocessable
from castari.ids import new_id
from castari.messages import DeleteAgent, Refill, StopAgent
from castari.models import Agent, Deletion
from castari.schemas.agents import AgentCreate, AgentUpdate
from castari.services.callbacks import check_secret, check_url
from castari.settings import Limits

_SLUG_LENGTH = 63
_SILENT_DEPLOYS = 3


def derive_slug(name: str) -> str:
    """Return the slug a display name makes. Raises `Unprocessable` if nothing of it can be kept."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_SLUG_LENGTH].strip("-")
    if not slug:
        raise Unprocessable("no slug can be made from this name: send one", field=("body", "slug"))
    return slug


@dataclass(frozen=True)
class Agents:
    """The agents of users. What takes long is left to the maintenance queue."""

    table: AgentsTable
    deletions_table: DeletionsTable
    maintenance: Queue
    limits: Limits
    clock: Clock = utc_now

    def create(self, user_id: str, request: AgentCreate) -> Agent:
        """Make a draft. Raises `Conflict` if the user has an agent of that slug, `Unprocessable`."""
        if request.callback_url:
            check_url(request.callback_url, self.limits)
        now = self.clock()
        agent = Agent(
            user_id=user_id,
            agent_id=new_id("agent"),
            created_at=now,
            updated_at=now,
            **(request.model_dump() | {"slug": request.slug or derive_slug(request.name)}),
        )
        self.table.create(agent)
        return agent

    def get(self, user_id: str, slug: str) -> Agent:
        """Return one agent. Raises `NotFound`."""
        return self._as_seen(self.table.get(user_id, slug))

    def list(self, user_id: str, *, limit: int, offset: int) -> list[Agent]:
        """Return a user's agents by slug."""
        agents = self.table.list(user_id, limit=limit, offset=offset)
        return [self._as_seen(agent) for agent in agents]

    def update(self, user_id: str, slug: str, request: AgentUpdate) -> Agent:
        """Change the fields that were sent. Raises `NotFound`, `Unprocessable`, `Conflict`."""
        changes, agent = request.model_dump(exclude_unset=True), self.table.get(user_id, slug)
        if request.callback_url:
            check_url(request.callback_url, self.limits)
            check_secret(agent)
        agent = self.table.update(agent, {**changes, "updated_at": self.clock()})
        if "warm" in changes:
            self.maintenance.send(Refill(user_id=user_id, slug=slug))
        return agent

    def stop(self, user_id: str, slug: str) -> Agent:
        """Take an agent out of service and have its sandboxes destroyed. Raises `NotFound`, `Conflict`."""
        agent = self.table.get(user_id, slug)
        if agent.status == "draft":
            raise Conflict(f"agent `{slug}` was never deployed: there is nothing to stop")
        stopped = self.table.update(
            agent,
            {"status": "stopped", "status_message": None, "sandbox_id": None, "updated_at": self.clock()},
        )
        self.maintenance.send(StopAgent(user_id=user_id, slug=slug, agent_id=agent.agent_id))
        return stopped

    def delete(self, user_id: str, slug: str) -> None:
        """Remove an agent at once, and have all it has removed. Raises `NotFound`.

        The message goes first and decides: whoever takes it removes the row too, should we end before we do.
        """
        agent = self.table.get(user_id, slug)
        message = DeleteAgent(user_id=user_id, slug=slug, agent_id=agent.agent_id, requested_at=self.clock())
        self.maintenance.send(message)
        self.table.delete(agent)

    def deletions(self, user_id: str) -> builtins.list[Deletion]:
        """Return the deletions of which something is left."""
        return self.deletions_table.list(user_id)

    def _as_seen(self, agent: Agent) -> Agent:
        """Return the agent; if a deploy said nothing for several times its limit, as it is without it."""
        patience = timedelta(seconds=_SILENT_DEPLOYS * self.limits.deploy_timeout_seconds)
        if agent.status != "deploying" or self.clock() - agent.updated_at < patience:
            return agent
        status = "active" if agent.active_version else "error"
        message = "the deploy did not report back: deploy again"
        return agent.model_copy(update={"status": status, "status_message": message})
