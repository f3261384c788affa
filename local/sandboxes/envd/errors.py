"""Errors of the Connect protocol: a code from its fixed list, and a message for people."""

import errno
from typing import Literal

Code = Literal[
    "canceled",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "unimplemented",
    "internal",
    "unavailable",
    "unauthenticated",
]

HTTP_STATUS: dict[Code, int] = {
    "canceled": 499,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "unauthenticated": 401,
}
"""The HTTP status of each code in a unary answer, as the Connect protocol lists them."""

_CODE_OF_ERRNO: dict[int, Code] = {
    errno.ENOENT: "not_found",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EROFS: "permission_denied",
    errno.EEXIST: "already_exists",
    errno.ENOTDIR: "invalid_argument",
    errno.EISDIR: "invalid_argument",
    errno.ELOOP: "invalid_argument",
    errno.EINVAL: "invalid_argument",
    errno.ENAMETOOLONG: "invalid_argument",
    errno.ENOTEMPTY: "invalid_argument",
}


class ConnectError(Exception):
    """A call that failed in a way its caller should see."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message

    def to_json(self) -> dict[str, str]:
        """The error's form on the wire."""
        return {"code": self.code, "message": self.message}


def from_os_error(error: OSError) -> ConnectError:
    """Name the Connect error for what the kernel refused; `internal` where no code says more."""
    where = f" '{error.filename}'" if error.filename else ""
    reason = (error.strerror or str(error)).lower()
    return ConnectError(_CODE_OF_ERRNO.get(error.errno or 0, "internal"), f"path{where}: {reason}")
