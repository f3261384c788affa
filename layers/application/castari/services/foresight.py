"""Reads what an invoke needs while its key is being counted: three reads in the time of one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Any

from castari.adapters.tables.warm import WarmTable
from castari.models import Agent, WarmSandbox
from castari.services.agents import Agents
from castari.services.authentication import Authentication

MOST_OFFERS = 3
"""An invoke tries so many warm sandboxes before it makes one."""
_MOST_REMEMBERED = 1_000
_READS = 2


@dataclass(frozen=True)
class Foresight:
    """Guesses from what this worker saw before: whose a key was, and which version served.

    A key that this worker did not let in last time causes no read but the one that counts it. What was read
    is shown to nobody before that, and a wrong guess is read again.
    """

    authentication: Authentication
    agents: Agents
    warm: WarmTable
    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    """By user and slug."""
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_READS))

    def begin(self, authorization: str | None, slug: str, *, claims: bool) -> "Foreseen":
        """Begin to read what is likely; `claims` tells whether a warm sandbox will be wanted."""
        user_id = self.authentication.expected_user(authorization)
        foreseen = Foreseen(self, slug, user_id)
        if user_id:
            foreseen.read("agent", self.agents.get, user_id, slug)
            version_id = self.versions.get((user_id, slug))
            if version_id and claims:
                foreseen.read(version_id, self._offers, version_id)
        return foreseen

    def remember(self, agent: Agent) -> None:
        """Note which version serves now."""
        if len(self.versions) >= _MOST_REMEMBERED:
            self.versions.clear()
        if agent.active_version:
            self.versions[agent.user_id, agent.slug] = agent.active_version.version_id

    def _offers(self, version_id: str) -> list[WarmSandbox]:
        return self.warm.list(version_id, limit=MOST_OFFERS)


class Foreseen:
    """What one request needs: read ahead where that was guessed, else when it is asked for."""

    def __init__(self, foresight: Foresight, slug: str, user_id: str | None) -> None:
        self._foresight, self._slug, self._user_id = foresight, slug, user_id
        self._reads: dict[str, Future[Any]] = {}

    def read(self, name: str, work: Callable[..., object], *arguments: str) -> None:
        """Begin a read."""
        self._reads[name] = self._foresight.threads.submit(work, *arguments)

    def agent(self, user_id: str) -> Agent:
        """Return the agent of the user who was let in. Raises as `Agents.get`."""
        if self._user_id == user_id:
            agent: Agent = self._reads["agent"].result()
        else:
            agent = self._foresight.agents.get(user_id, self._slug)
        self._foresight.remember(agent)
        return agent

    def offers(self, version_id: str) -> list[WarmSandbox]:
        """Return warm sandboxes of a version. Raises `VendorUnavailable`."""
        if found := self._reads.get(version_id):
            offered: list[WarmSandbox] = found.result()
            return offered
        return self._foresight.warm.list(version_id, limit=MOST_OFFERS)

    def settle(self) -> None:
        """Wait for what nobody asked for: a worker that answered stands still."""
        wait_for(self._reads.values())
