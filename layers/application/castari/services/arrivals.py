"""How often an agent was invoked lately, read from its invocations: no caller pays for counting."""

from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.tables.invocations import InvocationsTable
from castari.clock import Clock, utc_now

_LOOKED_BACK = timedelta(minutes=5)
_REPLACED = timedelta(seconds=5)
"""Within this time a warm sandbox that was used is replaced, on a busy day too."""
_MOST_READ = 100


@dataclass(frozen=True)
class Arrivals:
    """Looks at when an agent's latest invocations came."""

    invocations: InvocationsTable
    clock: Clock = utc_now

    def any_within(self, agent_id: str, lasting: timedelta) -> bool:
        """Tell whether somebody invoked the agent so lately."""
        return bool(self.invocations.arrivals(agent_id, self.clock() - lasting, limit=1))

    def busiest(self, agent_id: str) -> int:
        """Return how many came, in the last five minutes, within the time that replacing a sandbox takes."""
        came = self.invocations.arrivals(agent_id, self.clock() - _LOOKED_BACK, limit=_MOST_READ)
        most = first = 0
        for last, moment in enumerate(oldest_first := came[::-1]):
            while moment - oldest_first[first] > _REPLACED:
                first += 1
            most = max(most, last - first + 1)
        return most
