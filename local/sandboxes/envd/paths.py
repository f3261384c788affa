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
    """Raise `PermissionError` for a file or directory of envd's own, which no agent can open.

    The kernel lets every process read what /proc tells of itself, whoever it acts as. Where things lie in
    envd's memory is the same in all sandboxes of an instance, named are files of the host, and its links lead
    there.
    """
    if Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(f"/proc/{os.getpid()}") or _is_outside(fd):
        raise PermissionError(errno.EACCES, "a file of envd's own")


def leads_out(link: Path) -> bool:
    """Tell whether a link leads out of the sandbox, as those of /proc to envd's program and sockets do."""
    try:
        fd = os.open(link, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False  # To nowhere.
    try:
        return _is_outside(fd)
    finally:
        os.close(fd)


def _is_outside(fd: int) -> bool:
    facts = dict(line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return facts["mnt_id"].strip() not in {line.split(" ", 1)[0] for line in mounts}


def check_text(text: str) -> None:
    """Raise `ConnectError` for what JSON can say and no path, argument or variable can hold."""
    if "\0" in text:
        raise ConnectError("invalid_argument", "a path or argument can not contain NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConnectError("invalid_argument", "a path or argument must be valid Unicode") from None
