"""What the server tells a jail: a plan when it is prepared, a claim when it becomes a sandbox."""

import json
from dataclasses import dataclass, field

from local.sandboxes.engine import Limits, Privileges


@dataclass(frozen=True)
class Plan:
    """All that can be known before anyone asks for a sandbox. Paths are the host's."""

    index: int
    first_uid: int
    cgroup: str
    veth: str
    address: str
    gateway: str
    mtu: int
    stage: str
    subvolume: str
    resolv_conf: str
    limits: Limits

    @classmethod
    def load(cls, data: bytes) -> "Plan":
        """Read what `dump` wrote."""
        fields = json.loads(data)
        return cls(**fields | {"limits": Limits(**fields["limits"])})


@dataclass(frozen=True)
class Claim:
    """What turns a prepared jail into a sandbox. `layers` are lower directories, topmost first."""

    layers: tuple[str, ...]
    limits: Limits
    privileges: Privileges
    env: dict[str, str] = field(hash=False)

    @classmethod
    def load(cls, data: bytes) -> "Claim":
        """Read what `dump` wrote."""
        fields = json.loads(data)
        return cls(**fields | {"limits": Limits(**fields["limits"])})


def dump(message: Plan | Claim) -> bytes:
    """Write a message for a socket that keeps message boundaries."""
    return json.dumps(vars(message) | {"limits": vars(message.limits)}).encode()
