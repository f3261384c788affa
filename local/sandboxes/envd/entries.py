"""Files, directories and links as the filesystem calls describe them."""

import os
import stat
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from local.sandboxes.envd.accounts import owner_names
from local.sandboxes.envd.connect import Message
from local.sandboxes.envd.paths import leads_out, mounts

METADATA_PREFIX = "user.e2b."
"""The extended attributes that hold what a client noted on a file."""


class EntryReader:
    """Describes entries; reads once what it needs to know of the sandbox: owners' names, and mounts."""

    def __init__(self) -> None:
        self._users, self._groups = owner_names()

    def read(self, path: Path) -> Message:
        """Describe what is at `path`. Raises `OSError`."""
        status = path.lstat()
        entry: Message = {
            "name": path.name or "/",
            "type": _type(status.st_mode),
            "path": str(path),
            "size": str(status.st_size),
            "mode": stat.S_IMODE(status.st_mode) & 0o777,
            "permissions": stat.filemode(status.st_mode).replace("l", "L", 1),
            "owner": self._users.get(status.st_uid, str(status.st_uid)),
            "group": self._groups.get(status.st_gid, str(status.st_gid)),
            "modifiedTime": _rfc3339(status.st_mtime_ns),
        }
        if metadata := read_metadata(path):
            entry["metadata"] = metadata
        if stat.S_ISLNK(status.st_mode):
            entry |= self._link(path)
        return entry

    @cached_property
    def _mounts(self) -> frozenset[str]:
        return mounts()

    def _link(self, path: Path) -> Message:
        if leads_out(path, self._mounts):
            return {"isSymlink": True, "symlinkTarget": str(path)}
        link = {"isSymlink": True, "symlinkTarget": os.path.realpath(path)}
        try:
            return link | {"type": _type(path.stat().st_mode)}
        except OSError:
            return link


def read_metadata(path: Path) -> dict[str, str]:
    """What clients noted on a file; nothing where the filesystem keeps no notes."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {
            name.removeprefix(METADATA_PREFIX): os.getxattr(path, name, follow_symlinks=False).decode(
                errors="replace"
            )
            for name in names
            if name.startswith(METADATA_PREFIX)
        }
    except OSError:
        return {}


def _type(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "FILE_TYPE_DIRECTORY"
    if stat.S_ISLNK(mode):
        return "FILE_TYPE_SYMLINK"
    return "FILE_TYPE_FILE" if stat.S_ISREG(mode) else "FILE_TYPE_UNSPECIFIED"


def _rfc3339(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
