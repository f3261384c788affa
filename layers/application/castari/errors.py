"""Every error the platform raises on purpose; the HTTP status is on the class.

CastariError
├── InvalidRequest        400
├── Unauthorized          401
├── Forbidden             403
├── NotFound              404
├── Conflict              409
│   ├── StaleWrite        409   a conditional write lost: somebody else was first
│   ├── WarmSandboxTaken  409   the same, for a warm sandbox: take another
│   ├── RequestRepeated   409   the same, for an idempotency key: what it made is the answer
│   ├── SessionBusy       409   another invocation runs in the session: wait, or queue
│   ├── TooManySessions   409   the agent has as many as it may: delete some
│   └── SessionEnded      409   the session cannot be resumed
├── TooLarge              413
├── Unprocessable         422   names the field
├── RateLimited           429   says when to try again
├── AgentFailed           500
├── VendorUnavailable     503   AWS or the sandbox service is busy or down: nothing was started
│   ├── VendorUnanswered  503   it may have done all the same what was asked: a sandbox may exist
│   ├── VendorRateLimited 503
│   │   └── NoCapacity    503   the plan's limits allow no more sandboxes now: wait in line
│   └── SandboxMissing    503   the sandbox or snapshot is definitely not there
├── CallbackForbidden     422   a callback leads to where none may go: trying again is no use
├── CallbackUnanswered    502   a callback's receiver cannot be reached, or does not answer in time
├── SandboxLost           502   the sandbox is gone; what it did cannot be known
├── SealBroken            500   a sealed text does not open with the platform's key
├── CommandTimedOut       504   a command in a sandbox was ended at its limit
└── InvocationTimedOut    504
"""

from typing import Any, ClassVar


class CastariError(Exception):
    """Base of all; `str(error)` is what a user reads, so it says what to do."""

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
        """What to do, where the message itself is a text that clients match on."""


class InvalidRequest(CastariError):
    """The request cannot be understood."""

    status = 400


class Unauthorized(CastariError):
    """No key, or a key that is not known."""

    status = 401


class Forbidden(CastariError):
    """A known user may not do this."""

    status = 403


class NotFound(CastariError):
    """It does not exist, or is somebody else's: the answer is the same."""

    status = 404


class Conflict(CastariError):
    """The state of the thing does not allow it now."""

    status = 409


class StaleWrite(Conflict):
    """A conditional write lost, so somebody else was first."""


class WarmSandboxTaken(Conflict):
    """Somebody else took the warm sandbox; another one, or a new one, will do."""


class RequestRepeated(Conflict):
    """The same request was made before, or is being made by somebody else."""


class SessionBusy(Conflict):
    """Somebody else uses the session now: nothing was started, and later it will do."""


class TooManySessions(Conflict):
    """The agent has as many sessions as it may; nothing was started."""


class SessionEnded(Conflict):
    """The session's sandbox is gone and with it what was in it; nothing was started."""


class TooLarge(CastariError):
    """More bytes than the limit, which the message names."""

    status = 413


class Unprocessable(CastariError):
    """A field holds something that cannot be accepted."""

    status = 422

    def __init__(
        self, message: str, *, field: tuple[str | int, ...] = ("body",), kind: str = "value_error"
    ) -> None:
        super().__init__(message)
        self.field = field
        self.kind = kind

    @property
    def detail(self) -> list[dict[str, Any]]:
        """The list of the public contract: where, what, which kind."""
        return [{"loc": list(self.field), "msg": str(self), "type": self.kind}]


class RateLimited(CastariError):
    """The key made too many requests in this window."""

    status = 429

    def __init__(self, *, limit: int, reset_at: int, retry_after_seconds: int) -> None:
        super().__init__(f"Rate limit of {limit} requests a minute reached: retry in {retry_after_seconds} s")
        self.limit = limit
        self.reset_at = reset_at
        self.retry_after_seconds = retry_after_seconds


class AgentFailed(CastariError):
    """The agent ran and did not end well."""


class VendorUnavailable(CastariError):
    """An outside service is busy or down and nothing was started, so a retry is safe."""

    status = 503


class VendorUnanswered(VendorUnavailable):
    """An outside service broke off: what was asked of it may have happened, though no agent was started."""


class VendorRateLimited(VendorUnavailable):
    """The sandbox service makes no more sandboxes for now."""


class NoCapacity(VendorRateLimited):
    """The limits of the sandbox service's plan allow no more for now; the service was not asked."""

    def __init__(self, message: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds
        """When there is more; None where a sandbox has to end first."""


class SandboxMissing(VendorUnavailable):
    """The sandbox or snapshot is definitely not there: what was asked of it was not begun."""


class SandboxLost(CastariError):
    """The sandbox is gone or does not answer; whether the agent ran cannot be known."""

    status = 502


class CallbackForbidden(CastariError):
    """A callback's address leads to where none may be sent."""

    status = 422


class CallbackUnanswered(CastariError):
    """A callback's receiver cannot be reached, or does not answer in time; later it may."""

    status = 502


class SealBroken(CastariError):
    """A sealed text was changed, or sealed with another key."""


class CommandTimedOut(CastariError):
    """A command in a sandbox was ended at its limit."""

    status = 504


class InvocationTimedOut(CastariError):
    """The agent did not end within its time."""

    status = 504
