"""Paths as clients write them: absolute, or relative to where the account starts."""

import errno
import os
from pathlib import Path

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.errors import ConnectError


def resolve(path: str, account: Account) -> Path:
    """Make `path` absolute. Links are left to the kernel, which follows them inside the sandbox only."""
    check_text(path)
    if path == "~" or path.startswith("~/"):
        path = account.home + path[1:]
    return Path("/" + os.path.normpath(Path(account.workdir or account.home, path)).lstrip("/"))


def check_not_of_envd(fd: int) -> None:
    """Raise `PermissionError` for a file or directory in which /proc tells of envd itself.

    The kernel lets every process read that of itself, whoever it acts as. Where things lie in envd's memory
    is the same in all sandboxes of an instance, and named are files of the host.
    """
    if Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(f"/proc/{os.getpid()}"):
        raise PermissionError(errno.EACCES, "a file of envd's own")


def check_text(text: str) -> None:
    """Raise `ConnectError` for what JSON can say and no path, argument or variable can hold."""
    if "\0" in text:
        raise ConnectError("invalid_argument", "a path or argument can not contain NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConnectError("invalid_argument", "a path or argument must be valid Unicode") from None
