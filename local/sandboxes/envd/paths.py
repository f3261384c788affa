"""Paths as clients write them: absolute, or relative to where the account starts."""

import errno
import os
from pathlib import Path

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.errors import ConnectError


def resolve(path: str, account: Account) -> Path:
    """Make `path` absolute. Links are left to the kernel, which follows them inside the sandbox only."""
    return Path(resolve_text(path, account))


def resolve_text(path: str, account: Account) -> str:
    """Do the same with text alone, for who must not wait for a `Path`."""
    check_text(path)
    if path == "~" or path.startswith("~/"):
        path = account.home + path[1:]
    return "/" + os.path.normpath(os.path.join(account.workdir or account.home, path)).lstrip("/")  # noqa: PTH118


def check_not_of_envd(fd: int) -> None:
    """Raise `PermissionError` for a file or directory of envd's own, which no agent can open.

    The kernel lets every process read what /proc tells of itself, whoever it acts as. Where things lie in
    envd's memory is the same in all sandboxes of an instance, named are files of the host, and its links lead
    there.
    """
    about_envd = Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(f"/proc/{os.getpid()}")
    if about_envd or _mount_of(fd) not in mounts():
        raise PermissionError(errno.EACCES, "a file of envd's own")


def mounts() -> frozenset[str]:
    """Return the ids of the sandbox's mounts. Whatever lies on another one is not in the sandbox."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return frozenset(line.split(" ", 1)[0] for line in lines)


def leads_out(link: Path, inside: frozenset[str]) -> bool:
    """Tell whether a link leads elsewhere than to these mounts, as those to envd's program and sockets do."""
    try:
        fd = os.open(link, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False  # To nowhere.
    try:
        return _mount_of(fd) not in inside
    finally:
        os.close(fd)


def _mount_of(fd: int) -> str:
    facts = dict(line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
    return facts["mnt_id"].strip()


def check_text(text: str) -> None:
    """Raise `ConnectError` for what JSON can say and no path, argument or variable can hold."""
    if "\0" in text:
        raise ConnectError("invalid_argument", "a path or argument can not contain NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConnectError("invalid_argument", "a path or argument must be valid Unicode") from None
