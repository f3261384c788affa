"""What the server knows about one sandbox."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from local.sandboxes.engine import EngineSandbox
from local.sandboxes.server.history import History
from local.sandboxes.server.journal import Journal
from local.sandboxes.server.schemas import NewSandbox
from local.sandboxes.server.templates import Template
from local.sandboxes.server.upstream import Upstream

ENVD_VERSION = "0.6.13"
"""The newest envd whose behaviour ours has: the SDKs switch features on by it."""

CLIENT_ID = "local"

State = Literal["running", "paused"]
PauseMode = Literal["full", "filesystem"]


@dataclass
class Sandbox:
    """One sandbox, from its creation to its end."""

    request: NewSandbox
    template: Template
    token: str
    guest: EngineSandbox
    upstream: Upstream
    journal: Journal
    history: History
    started_at: datetime
    end_at: datetime
    state: State = "running"
    pause_mode: PauseMode = "full"
    """What its latest pause kept: all, or its disk alone."""
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)
    transition: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held while the sandbox is frozen, thawed, kept as a snapshot or killed: engines do one at a time."""

    @property
    def sandbox_id(self) -> str:
        """Its id."""
        return self.guest.spec.sandbox_id

    def created_json(self) -> dict[str, Any]:
        """The answer to the one who made it or connects to it: the only one with its token."""
        return self._identity() | {
            "envdAccessToken": self.token,
            "trafficAccessToken": None,
            "domain": None,
        }

    def listed_json(self) -> dict[str, Any]:
        """Its entry in a list."""
        limits = self.guest.spec.limits
        return self._identity() | {
            "startedAt": _rfc3339(self.started_at),
            "endAt": _rfc3339(self.end_at),
            "cpuCount": limits.cpu_count,
            "memoryMB": limits.memory_mb,
            "diskSizeMB": limits.disk_mb,
            "metadata": self.request.metadata,
            "state": self.state,
        }

    def detail_json(self) -> dict[str, Any]:
        """All about it but its token."""
        request = self.request
        paused = {"pauseMode": self.pause_mode} if self.state == "paused" else {}
        return (
            self.listed_json()
            | paused
            | {
                "allowInternetAccess": request.allow_internet_access,
                "network": request.network.model_dump(by_alias=True, exclude_none=True),
                "lifecycle": {
                    "autoResume": request.auto_resume.enabled,
                    "onTimeout": "pause" if request.auto_pause else "kill",
                },
            }
        )

    def _identity(self) -> dict[str, Any]:
        aliases = self.template.aliases
        return {
            "templateID": self.template.template_id,
            "sandboxID": self.sandbox_id,
            "clientID": CLIENT_ID,
            "envdVersion": ENVD_VERSION,
            **({"alias": aliases[0]} if aliases else {}),
        }


def _rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
