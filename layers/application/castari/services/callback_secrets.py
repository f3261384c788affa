"""Secrets that sign callbacks: one for each agent, shown when it is made, and replaced without a gap."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from castari.adapters.secret_store import SecretStore, Values
from castari.adapters.signatures import new_secret
from castari.adapters.tables.agents import AgentsTable
from castari.clock import Clock, utc_now
from castari.errors import CallbackForbidden, Conflict, NotFound
from castari.models import BOTH_CALLBACK_SECRETS_SIGN, Agent, CallbackSecret
from castari.services.secret_versions import SecretVersions

_ATTEMPTS = 8
_CURRENT, _PREVIOUS = "current", "previous"


@dataclass(frozen=True)
class MadeSecret:
    """A secret that was just made."""

    value: SecretStr
    made_at: datetime
    previous_until: datetime | None


@dataclass(frozen=True)
class CallbackSecrets:
    """The row's conditional write says which version counts: of two that are made at once, one is on top."""

    table: AgentsTable
    store: SecretStore
    clock: Clock = utc_now

    def get(self, user_id: str, slug: str) -> CallbackSecret:
        """Return what may be shown of an agent's secret. Raises `NotFound`."""
        agent = self.table.get(user_id, slug)
        if agent.callback_secret is None:
            raise NotFound("Callback secret not found", remedy="POST to the same path to make one")
        return agent.callback_secret

    def make(self, user_id: str, slug: str) -> MadeSecret:
        """Make an agent's secret, or another one in its place. Raises `NotFound`, `Conflict`."""
        for _ in range(_ATTEMPTS):
            agent, value, now = self.table.get(user_id, slug), new_secret(), self.clock()
            values = {_CURRENT: value}
            if agent.callback_secret:
                former = self.store.read(agent.agent_id, agent.callback_secret.version_id)
                values[_PREVIOUS] = former[_CURRENT]
            if self._write(agent, values, now):
                return MadeSecret(
                    value, now, now + BOTH_CALLBACK_SECRETS_SIGN if agent.callback_secret else None
                )
        raise Conflict(f"the callback secret of agent `{slug}` is being made by other requests: try again")

    def signing(self, agent: Agent) -> list[SecretStr]:
        """Return what callbacks of the agent are signed with now, the current one first.

        Raises `CallbackForbidden` if there is none, `VendorUnavailable`.
        """
        if agent.callback_secret is None:
            raise CallbackForbidden(f"agent `{agent.slug}` has no callback secret: nothing is sent unsigned")
        values = self.store.read(agent.agent_id, agent.callback_secret.version_id)
        until = agent.callback_secret.previous_until
        names = [_CURRENT, _PREVIOUS] if until and self.clock() < until else [_CURRENT]
        return [values[name] for name in names if name in values]

    def _write(self, agent: Agent, values: Values, now: datetime) -> bool:
        """Store a version and point the row at it; tell whether the row still had the version we read."""
        former = agent.callback_secret
        version_id = self.store.write(agent.agent_id, values)
        made = CallbackSecret(
            version_id=version_id,
            previous_version_id=former.version_id if former else None,
            made_at=now,
        )
        return SecretVersions(self.table, self.store).point(
            agent,
            version_id,
            {"callback_secret": made},
            expected={"callback_secret": former},
            outdated=former.previous_version_id if former else None,
        )
