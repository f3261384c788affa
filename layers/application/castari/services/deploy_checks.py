"""Looks after deploys whose worker may have died: each is given to another worker once, then given up."""

from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.adapters.tables.agents import AgentsTable
from castari.adapters.tables.versions import VersionsTable
from castari.clock import Clock, utc_now
from castari.errors import NotFound, StaleWrite
from castari.messages import CheckDeploy, DeployBundle
from castari.models import Agent, Version
from castari.services.claims import MOST_ATTEMPTS, Claims
from castari.services.handovers import Handovers
from castari.services.switches import Switches


@dataclass(frozen=True)
class DeployChecks:
    """Carries out `CheckDeploy`; each can be done again, and goes on until the deploy is over."""

    agents: AgentsTable
    versions: VersionsTable
    deploys: Queue
    claims: Claims
    switches: Switches
    handovers: Handovers
    clock: Clock = utc_now

    def check(self, message: CheckDeploy) -> str:
        """See whether a deploy is over or its worker lives; tell what was done."""
        agent = self._agent(message)
        if agent is None:
            return "gone"
        version = self.claims.find(agent.agent_id, message.request)
        if version is None:
            return self._check_unbegun(agent, message)
        if version.status != "building":
            return self._settle(agent, version)
        late = version.deadline_at <= self.clock()
        if self.claims.is_held(version) and not late:
            self.claims.watch(agent.agent_id, message.request)
            return "at work"
        if late or version.attempt >= MOST_ATTEMPTS:
            return self.handovers.abandon(version)
        return self._send_again(agent, message.request)

    def _check_unbegun(self, agent: Agent, message: CheckDeploy) -> str:
        """The worker died before it wrote a version, or there was nothing to build."""
        request = message.request
        latest = agent.latest_requested_at
        if latest and (
            latest > request.requested_at or (latest == request.requested_at and agent.status != "deploying")
        ):
            return "nothing to do"
        if request.attempt < MOST_ATTEMPTS:
            return self._send_again(agent, request.model_copy(update={"attempt": request.attempt + 1}))
        return self._abandon_unbegun(agent, message)

    def _abandon_unbegun(self, agent: Agent, message: CheckDeploy) -> str:
        """Write the version that no worker came to write, to tell in it that the deploy failed."""
        request = message.request
        try:
            numbered = self.switches.next_number(agent, request.requested_at)
            version = self.claims.first(agent, request, numbered.number)
            self.versions.create(version)
        except NotFound:
            return "gone"
        except StaleWrite:
            return "begun after all"
        if self._agent(message) is None:
            # Who deletes an agent removes the versions last, and may have looked for them before.
            self.versions.delete(version)
            return "gone"
        return self.handovers.abandon(version)

    def _send_again(self, agent: Agent, request: DeployBundle) -> str:
        # The check goes first: a deploy that is sent twice does no harm, one that nobody looks after may.
        self.claims.watch(agent.agent_id, request)
        self.deploys.send(request)
        return "sent again"

    def _settle(self, agent: Agent, version: Version) -> str:
        """Finish what a worker that died at the very end has left."""
        if version.status == "failed" and agent.status == "deploying":
            self.switches.give_up(version, version.message or "the deploy failed")
        if version.status == "ready":
            self.handovers.tidy(agent)
        return f"ended as {version.status}"

    def _agent(self, message: CheckDeploy) -> Agent | None:
        wanted = message.request.agent
        try:
            agent = self.agents.get(wanted.user_id, wanted.slug)
        except NotFound:
            return None
        return agent if agent.agent_id == message.agent_id else None
