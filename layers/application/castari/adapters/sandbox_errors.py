"""What the sandbox service's errors mean to us: nothing was started, it is gone, or nobody can tell."""

from collections.abc import Iterator
from contextlib import contextmanager

import e2b
import httpx

from castari.errors import (
    CastariError,
    CommandTimedOut,
    SandboxLost,
    SandboxMissing,
    VendorRateLimited,
    VendorUnanswered,
    VendorUnavailable,
)

_VENDOR_ERRORS = (
    e2b.SandboxException,
    # These do not derive from SandboxException.
    e2b.AuthenticationException,
    e2b.ServiceBusyException,
    httpx.HTTPError,
    OSError,
)
_NOT_FOUND = 404


@contextmanager
def creation_errors() -> Iterator[None]:
    """Around calls after which no agent can be running: every failure may be tried again.

    Raises `VendorUnanswered` where the call may have been carried out.
    """
    try:
        yield
    except _VENDOR_ERRORS as error:
        known = translate(error)
        if isinstance(known, VendorUnavailable):
            raise known from error
        raise VendorUnanswered(f"the sandbox service failed ({type(error).__name__}): try again") from error


@contextmanager
def sandbox_errors() -> Iterator[None]:
    """Around calls to a sandbox that may be running an agent."""
    try:
        yield
    except _VENDOR_ERRORS as error:
        raise translate(error) from error


def translate(error: BaseException) -> CastariError:  # noqa: PLR0911 - one return per meaning
    """Return our error for one of the vendor's."""
    match error:
        case e2b.RateLimitException():
            return VendorRateLimited("the sandbox service makes no more sandboxes for now: try again shortly")
        case e2b.ServiceBusyException():
            return VendorUnavailable("the sandbox service is busy: try again shortly")
        case e2b.AuthenticationException():
            return VendorUnavailable(
                "the sandbox service refuses the platform's key: the operator must mend it"
            )
        case e2b.NotFoundException() | e2b.SandboxNotRunningException():
            return SandboxMissing("the sandbox is not there any more")
        case e2b.SandboxException(status_code=404):
            return SandboxMissing("the sandbox or snapshot is not there any more")
        case e2b.TimeoutException() if "deadline" in str(error) or "exceeding 'timeout'" in str(error):
            return CommandTimedOut("the command's time is over")
        case _ if never_sent(error):
            return VendorUnavailable("the sandbox service cannot be reached: try again shortly")
        case _:
            return SandboxLost(f"the sandbox does not answer ({type(error).__name__})")


def definitely_not_started(error: BaseException) -> bool:
    """Tell whether a failed start cannot have started anything.

    The SDK also calls a sandbox "not running" when it died with the request in flight; then the
    dropped connection is its cause, and the command may have run.
    """
    if isinstance(error, e2b.SandboxNotRunningException):
        return error.__cause__ is None
    return isinstance(translate(error), VendorUnavailable)


def never_sent(error: BaseException | None) -> bool:
    """Tell whether the connection was never made: the transport raises `ConnectionError` only then."""
    while error is not None:
        if isinstance(error, ConnectionError | httpx.ConnectError):
            return True
        error = error.__cause__
    return False
