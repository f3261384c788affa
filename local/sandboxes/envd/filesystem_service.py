"""`filesystem.Filesystem`: look at, list, make, move and remove what the caller may."""

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.entries import EntryReader
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.paths import check_not_of_envd, resolve


def stat_entry(message: Message, account: Account) -> Message:
    """Describe one entry."""
    path = resolve(field(message, "path", str, ""), account)
    with acting_as(account):
        return {"entry": EntryReader().read(path)}


def list_dir(message: Message, account: Account) -> Message:
    """Describe what a directory contains, down to `depth` levels."""
    path = resolve(field(message, "path", str, ""), account)
    depth = field(message, "depth", int, 0) or 1
    with acting_as(account):
        if not stat.S_ISDIR(path.stat().st_mode):
            raise ConnectError("invalid_argument", f"path '{path}' is not a directory")
        reader = EntryReader()
        return {"entries": [reader.read(each) for each in _walk(path, depth)]}


def make_dir(message: Message, account: Account) -> Message:
    """Make a directory and those above it."""
    path = resolve(field(message, "path", str, ""), account)
    with acting_as(account):
        if path.is_dir():
            raise ConnectError("already_exists", f"directory '{path}' exists already")
        if os.path.lexists(path):
            raise ConnectError("invalid_argument", f"path '{path}' exists and is not a directory")
        path.mkdir(parents=True)
        return {"entry": EntryReader().read(path)}


def move(message: Message, account: Account) -> Message:
    """Rename an entry, making the directories above its new place."""
    source = resolve(field(message, "source", str, ""), account)
    destination = resolve(field(message, "destination", str, ""), account)
    with acting_as(account):
        source.lstat()
        destination.parent.mkdir(parents=True, exist_ok=True)
        source.rename(destination)
        return {"entry": EntryReader().read(destination)}


def remove(message: Message, account: Account) -> Message:
    """Remove an entry with all it contains; what is not there needs no removal."""
    path = resolve(field(message, "path", str, ""), account)
    with acting_as(account):
        if path.is_dir() and not path.is_symlink():
            _remove_tree(path)
        elif os.path.lexists(path):
            path.unlink()
    return {}


def _walk(directory: Path, depth: int) -> Iterator[Path]:
    """Yield what is below `directory`, parents first, however deep: recursion ends at a thousand levels."""
    pending = [_sorted_entries(directory)]
    while pending:
        entry, is_directory = next(pending[-1], (directory, None))
        if is_directory is None:
            pending.pop()
            continue
        yield entry
        if len(pending) < depth and is_directory:
            pending.append(_sorted_entries(entry))


def _sorted_entries(directory: Path) -> Iterator[tuple[Path, bool]]:
    """The paths of what a directory holds, and whether each is itself a directory."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        check_not_of_envd(fd)
        with os.scandir(fd) as listing:
            entries = sorted((each.name, each.is_dir(follow_symlinks=False)) for each in listing)
    finally:
        os.close(fd)
    return ((directory / name, is_directory) for name, is_directory in entries)


def _remove_tree(top: Path) -> None:
    try:
        shutil.rmtree(top)
    except RecursionError:
        _flatten(top)
        shutil.rmtree(top)


def _flatten(top: Path) -> None:
    """Move every directory below `top` right beneath it: neither a stack nor a path grows with the depth."""
    pending = [entry for entry, is_directory in _sorted_entries(top) if is_directory]
    while pending:
        directory = pending.pop()
        for entry, is_directory in _sorted_entries(directory):
            if is_directory:
                pending.append(top / uuid.uuid4().hex)
                entry.rename(pending[-1])
