"""Reads, writes and removes control groups in either version's file system."""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from local.sandboxes.engine import EngineError
from local.sandboxes.kernel_files import write_kernel_file

_FREEZE_SECONDS = 5.0
_PROCESSES = "cgroup.procs"


def wait_until_frozen(done: Callable[[], bool]) -> None:
    """Wait for `done`. Raises `EngineError` when a process does not stop."""
    deadline = time.monotonic() + _FREEZE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise EngineError("the sandbox's processes could not be frozen: one is stuck in the kernel")
        time.sleep(0.0005)


def members_of(directory: Path) -> list[int]:
    """Return the processes of a group and those below."""
    found: list[int] = []
    for path in _lists_of(directory):
        with contextlib.suppress(OSError):  # It was removed while we looked.
            found += map(int, path.read_text().split())
    return found


def count_of(directory: Path) -> int:
    """Return the number of a group and those below."""
    return len(_lists_of(directory))


def remove_tree(directory: Path) -> None:
    """Remove a group and those below, if it is there. Raises `OSError` (`EBUSY`) while processes are left."""
    with contextlib.suppress(FileNotFoundError):
        try:
            directory.rmdir()
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            _remove_children(directory)
            directory.rmdir()


def _remove_children(directory: Path) -> None:
    with os.scandir(directory) as entries:
        for each in [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]:
            remove_tree(each)


def read_table(path: Path) -> dict[str, int]:
    """Read a file of names with numbers."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value in lines}


def write(path: Path, value: str | int) -> None:
    """Write a value to a file of a group."""
    write_kernel_file(path, str(value))


def _lists_of(directory: Path) -> list[Path]:
    # Not `rglob`: it fails when a group is removed while it looks, and `walk` passes over that.
    return [Path(root, _PROCESSES) for root, _, files in os.walk(directory) if _PROCESSES in files]
