"""What `cast` tells its user when something cannot be done.

CastError          exit code 1   what went wrong, and how to mend it
├── UsageMistake   exit code 2   the command line itself is wrong
├── Unreachable    exit code 1   no answer came
└── ApiError       exit code 1   the platform answered with an error
"""

from typing import Any, ClassVar

Json = dict[str, Any]


class CastError(Exception):
    """Ends the command with a message; `remedy` is the next thing to try."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class UsageMistake(CastError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class Unreachable(CastError):
    """The request got no answer, so whether it did its work may be unknown."""


class ApiError(CastError):
    """An answer of 300 or above; `body` is its JSON object, or empty when it was none."""

    def __init__(
        self, message: str, remedy: str = "", *, status: int, body: Json, retry_after_seconds: float | None
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.body = body
        self.retry_after_seconds = retry_after_seconds
