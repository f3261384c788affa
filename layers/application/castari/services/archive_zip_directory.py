"""Counts a zip file's directory before the standard library reads all of it into memory.

Format: APPNOTE.TXT by PKWARE, sections 4.3.12 to 4.3.16.
"""

from typing import IO

from castari.services.archive_contents import LONGEST_PATH_BYTES, MOST_ENTRIES, too_many
from castari.services.archive_streams import broken, refused

_END, _END_BYTES, _LONGEST_COMMENT_BYTES = b"PK\x05\x06", 22, 65_535
_LARGE_LOCATOR, _LARGE_LOCATOR_BYTES = b"PK\x06\x07", 20
_ENTRY, _ENTRY_BYTES = b"PK\x01\x02", 46
_MOST_BYTES = 8 * 1024**2


def check(file: IO[bytes]) -> None:
    """Refuse a directory with too many or too long entries, whatever it says of itself."""
    end = file.seek(0, 2)
    start = max(0, end - _END_BYTES - _LONGEST_COMMENT_BYTES - _LARGE_LOCATOR_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise broken("the zip file has no directory")
    if tail[:at][-_LARGE_LOCATOR_BYTES:].startswith(_LARGE_LOCATOR):
        raise refused("it is a zip64 file", "pack it as tar.gz, or with fewer and smaller files")
    size = _number(tail, at + 12, 4)
    if size > _MOST_BYTES:
        raise too_many()
    _check_entries(file, start + at - size, start + at)


def _check_entries(file: IO[bytes], position: int, end: int) -> None:
    entries = 0
    while position < end:
        entries += 1
        if entries > MOST_ENTRIES:
            raise too_many()
        position += _check_entry(file, position)


def _check_entry(file: IO[bytes], position: int) -> int:
    """Return how many bytes an entry takes."""
    if position < 0:
        raise broken("its directory is damaged")
    file.seek(position)
    header = file.read(_ENTRY_BYTES)
    if len(header) < _ENTRY_BYTES or not header.startswith(_ENTRY):
        raise broken("its directory is damaged")
    name, more = _number(header, 28, 2), _number(header, 30, 2) + _number(header, 32, 2)
    if name > LONGEST_PATH_BYTES:
        shown = file.read(100).decode("utf-8", "replace")
        raise refused(f"`{shown}…` is too long a path", "shorten it")
    return _ENTRY_BYTES + name + more


def _number(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")
