"""What every way of launching an attempt shares: how it is claimed, and how its start may turn out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from castari.adapters.commands import RunningCommand
from castari.errors import CastariError
from castari.models import ActiveVersion, Invocation
from castari.services import invocation_states

SANDBOX_GRACE_SECONDS = 2
"""A sandbox ends by itself this long after its agent's limit, whatever becomes of us."""
DEADLINE_GRACE_SECONDS = 10
"""After this, whoever sweeps may take an open invocation for lost."""
LAUNCH_SECONDS = 60
"""The lease of an attempt that has no sandbox yet: longer than making one ever takes."""


@dataclass(frozen=True)
class Launched:
    """An attempt whose runner has begun."""

    invocation: Invocation
    command: RunningCommand
    was_warm: bool


class LaunchFailed(CastariError):
    """The runner could not be begun: `claimed` is the invocation as it was left, `cause` what is known."""

    def __init__(self, claimed: Invocation, cause: CastariError) -> None:
        super().__init__(str(cause))
        self.claimed, self.cause = claimed, cause


class StartUnconfirmed(CastariError):
    """The agent has begun unheard, or may have: what it hands in ends the invocation, or sweep does."""


def claiming(invocation: Invocation, version: ActiveVersion, now: datetime) -> dict[str, object]:
    """Return the changes that make a queued invocation the running next attempt, but for its deadline."""
    retries_left = invocation.retries_left
    return invocation_states.step(invocation, "running") | {
        "attempt": invocation.attempt + 1,
        "version_id": version.version_id,
        "retries_left": version.retries if retries_left is None else retries_left,
        "started_at": now,
    }


def deadline(invocation: Invocation, now: datetime, *, has_sandbox: bool) -> datetime:
    """Return when an attempt is sweep's, without a sandbox or with one that something may run in."""
    runs = invocation.timeout_seconds + DEADLINE_GRACE_SECONDS
    return now + timedelta(seconds=runs if has_sandbox else LAUNCH_SECONDS)
