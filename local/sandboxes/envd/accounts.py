"""Who a command or a file operation acts as, and how envd acts as somebody else."""

import base64
import binascii
import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from local.sandboxes.engine import Privileges
from local.sandboxes.envd.errors import ConnectError

DEFAULT_USER = "user"

_libc = ctypes.CDLL(None, use_errno=True)
_UNCHANGED = ctypes.c_uint(-1)

_known_rows: dict[str, tuple[tuple[int, int, int, int] | None, list[list[str]]]] = {}
"""The rows of a file as it was last read, with what tells whether it still is that file."""


@dataclass(frozen=True)
class Account:
    """An entry of the sandbox's user database. Relative paths begin at `workdir`, or else at its home."""

    name: str
    uid: int
    gid: int
    home: str
    workdir: str = ""


@dataclass(frozen=True)
class Accounts:
    """The accounts that callers may use. `fixed` ones win over the sandbox's own files.

    Who names no account gets `default`; all of them start in `workdir`, if there is one.
    """

    privileges: Privileges = "none"
    fixed: Mapping[str, Account] = field(default_factory=dict)
    default: str = DEFAULT_USER
    workdir: str = ""

    def find(self, name: str) -> Account:
        """Look an account up. Raises `ConnectError` if there is none, or it may not be used."""
        account = self.fixed.get(name) or _find_in_passwd(name)
        if account is None:
            raise ConnectError("unauthenticated", f"there is no user '{name}' in this sandbox")
        if account.uid == 0 and self.privileges == "none" and name not in self.fixed:
            raise ConnectError(
                "unauthenticated", f"this sandbox's template does not allow '{name}': use 'user'"
            )
        return replace(account, workdir=self.workdir) if self.workdir else account

    def of_basic_auth(self, header: str | None) -> Account:
        """The account that an `Authorization: Basic` header names; the default one without it."""
        return self.find(user_of_basic_auth(header) or self.default)


def user_of_basic_auth(header: str | None) -> str:
    """The name in an `Authorization: Basic` header; empty without one. Raises `ConnectError`."""
    if not header:
        return ""
    scheme, _, value = header.partition(" ")
    try:
        name, _, _ = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = ""
    if scheme.lower() != "basic" or not name:
        raise ConnectError("unauthenticated", "the Authorization header must name a user as 'Basic'")
    return name


@contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Let the kernel check and own files as `account`, capabilities over files laid down.

    The block must not await: the identity belongs to the whole thread.
    """
    if account.uid == os.geteuid():
        yield
        return
    _set_file_identity(account.uid, account.gid)
    try:
        yield
    finally:
        _set_file_identity(os.geteuid(), os.getegid())


def owner_names() -> tuple[dict[int, str], dict[int, str]]:
    """The names of users and of groups by their ids, from the sandbox's own files."""
    accounts = {row[0]: _account(row) for row in _rows("/etc/passwd", 7)}
    users = {account.uid: account.name for account in reversed(accounts.values())}
    groups = {int(gid): name for name, _, gid, *_ in _rows("/etc/group", 4)}
    return users, groups


def _set_file_identity(uid: int, gid: int) -> None:
    # Neither call reports failure: only asking again tells what is in force.
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if (_libc.setfsuid(_UNCHANGED), _libc.setfsgid(_UNCHANGED)) != (uid, gid):
        raise ConnectError("internal", f"envd can not act as user id {uid}")


def _find_in_passwd(name: str) -> Account | None:
    # The last entry of a name counts.
    rows = (row for row in reversed(_rows("/etc/passwd", 7)) if row[0] == name)
    return next(map(_account, rows), None)


def _account(row: list[str]) -> Account:
    name, _, uid, gid, _, home, *_ = row
    return Account(name, int(uid), int(gid), home)


def _rows(path: str, columns: int) -> list[list[str]]:
    # Not the `pwd` module: glibc may load name-service libraries that the sandbox can replace.
    try:
        status = os.stat(path)  # noqa: PTH116 - the start of each command waits for it
    except FileNotFoundError:
        return []
    # Nobody can set the time of the last change, and a new file is another one.
    version = (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size)
    known, rows = _known_rows.get(path, (None, []))
    if known != version:
        rows = _read_rows(path, columns)
        _known_rows[path] = version, rows
    return rows


def _read_rows(path: str, columns: int) -> list[list[str]]:
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split(":") for line in lines]
    return [row for row in rows if len(row) >= columns and row[2].isdecimal()]
