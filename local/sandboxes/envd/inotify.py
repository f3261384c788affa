"""Watches a directory, and on request all below it, by the kernel's inotify."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from local.sandboxes.envd.accounts import Account, acting_as

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
_ONLY_DIRECTORIES, _IS_DIRECTORY, _OVERFLOW, _IGNORED = 0x0100_0000, 0x4000_0000, 0x4000, 0x8000
_TYPES = {
    _CREATE: "EVENT_TYPE_CREATE",
    _MOVED_TO: "EVENT_TYPE_CREATE",
    _MODIFY: "EVENT_TYPE_WRITE",
    _DELETE: "EVENT_TYPE_REMOVE",
    _MOVED_FROM: "EVENT_TYPE_RENAME",
    _ATTRIB: "EVENT_TYPE_CHMOD",
}
_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Tells each change as its E2B type and the path below the directory. Raises `OSError` at the start."""

    def __init__(
        self,
        top: Path,
        account: Account,
        *,
        recursive: bool,
        on_change: Callable[[str, str], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._top, self._account, self._recursive = top, account, recursive
        self._on_change, self._on_overflow = on_change, on_overflow
        self._names: dict[int, str] = {}
        self._loop = asyncio.get_running_loop()
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), top)
        try:
            with acting_as(account):
                self._add("")
                for name in self._directories_below(""):
                    with suppress(FileNotFoundError, PermissionError):
                        self._add(name)
        except OSError:
            os.close(self._fd)
            raise
        self.resume()

    def resume(self) -> None:
        """Read changes from now on."""
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)

    def pause(self) -> None:
        """Leave changes in the kernel's queue, which holds 16,384 by default."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Watch no more. Safe to call again."""
        if self._fd >= 0:
            self.pause()
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        data = os.read(self._fd, _BUFFER_BYTES)
        while data:
            watch, mask, _, length = _HEADER.unpack_from(data)
            name = os.fsdecode(data[_HEADER.size : _HEADER.size + length].rstrip(b"\0"))
            data = data[_HEADER.size + length :]
            self._take(watch, mask, name)

    def _take(self, watch: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self._on_overflow()
        elif mask & _IGNORED:
            self._names.pop(watch, None)
        elif name and watch in self._names:
            path = os.path.join(self._names[watch], name)  # noqa: PTH118 - a relative name, kept as text
            self._on_change(_TYPES[mask & sum(_TYPES)], path)
            if mask & _IS_DIRECTORY and self._recursive:
                self._follow(mask, path)

    def _follow(self, mask: int, name: str) -> None:
        if mask & _MOVED_FROM:
            gone = [each for each, known in self._names.items() if f"{known}/".startswith(f"{name}/")]
            for watch in gone:
                _libc.inotify_rm_watch(self._fd, watch)
                del self._names[watch]
        elif mask & (_CREATE | _MOVED_TO):
            self._adopt(name, tell=bool(mask & _CREATE))

    def _adopt(self, name: str, *, tell: bool) -> None:
        """Watch a new directory; what was made in it before we looked is told now."""
        with acting_as(self._account):
            try:
                for each in (name, *self._directories_below(name)):
                    self._add(each)
                    for entry in sorted((self._top / each).iterdir()) if tell else ():
                        self._on_change("EVENT_TYPE_CREATE", str(entry.relative_to(self._top)))
            except OSError:
                return  # Gone again, or not for this account.

    def _directories_below(self, name: str) -> Iterator[str]:
        if not self._recursive:
            return
        for directory, names, _ in os.walk(self._top / name):
            for each in names:
                path = Path(directory, each)
                if not path.is_symlink():
                    yield str(path.relative_to(self._top))

    def _add(self, name: str) -> None:
        path, mask = self._top / name, sum(_TYPES) | _ONLY_DIRECTORIES
        watch = _checked(_libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask)), path)
        self._names[watch] = name


def _checked(result: int, path: Path) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    return result
