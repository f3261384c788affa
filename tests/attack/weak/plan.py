"""What the weak sandbox is told when it starts."""

import json
from dataclasses import asdict, dataclass

from tests.attack.probe.attempts import Weakness

HOST_ID = 7_000_000
"""The first of the ids that users inside have on the host, where nobody else has them."""
IDS = 131_072
"""Twice as many as a real sandbox has, so that there are users whom it does not have."""
AGENT_ID = 1000


@dataclass(frozen=True)
class Plan:
    """How to be weak, where to build, and what the agent runs."""

    weakness: Weakness
    place: str
    """An empty folder of the host on which the sandbox's roots are mounted, seen by itself alone."""
    probe: str
    host_file: str
    host_socket: str
    command: tuple[str, ...]

    def to_json(self) -> str:
        """Write the plan down for the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what `to_json` wrote."""
        read = json.loads(text)
        return cls(**read | {"command": tuple(read["command"])})
