"""Secrets of agents: names and times are in the agent's row, values in Secrets Manager alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from castari.adapters.secret_store import SecretStore, Values
from castari.adapters.tables.agents import AgentsTable
from castari.clock import Clock, utc_now
from castari.errors import Conflict, NotFound, Unprocessable
from castari.models import Agent, SecretTimes
from castari.services.secret_versions import SecretVersions
from castari.settings import Limits

_ATTEMPTS = 8


@dataclass(frozen=True)
class Secrets:
    """Changes one secret at a time.

    All of an agent's secrets are one version in the store. The row's conditional write says which version
    counts, so of two changes at once one is done again on top of the other, and none is lost.
    """

    table: AgentsTable
    store: SecretStore
    limits: Limits
    clock: Clock = utc_now

    def list(self, user_id: str, slug: str) -> dict[str, SecretTimes]:
        """Return names with times, by name. Raises `NotFound`."""
        return dict(sorted(self.table.get(user_id, slug).secret_names.items()))

    def set(self, user_id: str, slug: str, key: str, value: SecretStr) -> SecretTimes:
        """Set one secret and return its times. Raises `NotFound`, `Unprocessable`."""
        for _ in range(_ATTEMPTS):
            agent = self.table.get(user_id, slug)
            values = self.store.read(agent.agent_id, agent.secret_version_id) | {key: value}
            self._check_size(values)
            now = self.clock()
            known = agent.secret_names.get(key)
            times = (known[0] if known else now, now)
            if self._write(agent, values, agent.secret_names | {key: times}):
                return times
        raise _busy(slug)

    def delete(self, user_id: str, slug: str, key: str) -> None:
        """Remove one secret. Raises `NotFound`."""
        for _ in range(_ATTEMPTS):
            agent = self.table.get(user_id, slug)
            if key not in agent.secret_names:
                raise NotFound("Secret not found")
            values = self.store.read(agent.agent_id, agent.secret_version_id)
            values.pop(key, None)
            names = {name: times for name, times in agent.secret_names.items() if name != key}
            if self._write(agent, values, names):
                return
        raise _busy(slug)

    def _write(self, agent: Agent, values: Values, names: Mapping[str, SecretTimes]) -> bool:
        """Store a version and point the row at it; tell whether the row still had the version we read."""
        version_id, former = self.store.write(agent.agent_id, values), agent.secret_version_id
        changes = {
            "secret_version_id": version_id,
            "secret_previous_version_id": former,
            "secret_names": names,
        }
        return SecretVersions(self.table, self.store).point(
            agent,
            version_id,
            changes,
            expected={"secret_version_id": former},
            outdated=agent.secret_previous_version_id,
        )

    def _check_size(self, values: Values) -> None:
        size = len(json.dumps({key: value.get_secret_value() for key, value in values.items()}).encode())
        if size > self.limits.secrets_bytes:
            raise Unprocessable(
                f"an agent's secrets may have {self.limits.secrets_bytes} bytes together, these have {size}:"
                " delete some, or keep large files elsewhere",
                field=("body", "value"),
            )


def _busy(slug: str) -> Conflict:
    return Conflict(f"the secrets of agent `{slug}` are being changed by other requests: try again")
