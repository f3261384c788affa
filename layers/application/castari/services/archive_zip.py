"""Looks into a zip file: its directory stands at its end, so the file is spooled first."""

import stat
import struct
import tempfile
import zipfile
import zlib
from typing import IO

from castari.services.archive_contents import Contents
from castari.services.archive_streams import CHUNK_BYTES, Readable, broken, refused, too_compressed

_MOST_ENTRIES = 20_000
_LARGEST_DIRECTORY_BYTES = 16 * 1024**2
# What the standard library raises on damaged files: its checks are not complete.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535


def read(stream: Readable, contents: Contents) -> None:
    """Add every entry to `contents`. Raises `Unprocessable`."""
    with tempfile.TemporaryFile() as spooled:
        for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
            spooled.write(chunk)
        _refuse_large_directory(spooled)
        try:
            with zipfile.ZipFile(spooled) as archive:
                for entry in archive.infolist():
                    _add_zip_entry(archive, entry, contents)
        except _DAMAGED as error:
            raise broken(str(error)) from error


def _refuse_large_directory(spooled: IO[bytes]) -> None:
    """The standard library reads the whole directory into memory, so look at its size first."""
    end = spooled.seek(0, 2)
    spooled.seek(max(0, end - _END_BYTES - _LONGEST_COMMENT))
    tail = spooled.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise broken("the zip file has no directory")
    entries = int.from_bytes(tail[at + 10 : at + 12], "little")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    if entries > _MOST_ENTRIES or size > _LARGEST_DIRECTORY_BYTES:
        raise refused(f"it has more than {_MOST_ENTRIES} entries", "leave out what the agent does not need")


def _add_zip_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, contents: Contents) -> None:
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise refused(f"`{entry.filename[:200]}` is a link or a special file", "pack plain files only")
    if entry.flag_bits & 1:
        raise refused(f"`{entry.filename[:200]}` is encrypted", "pack without a password")
    if too_compressed(entry.file_size, entry.compress_size):
        raise refused(f"`{entry.filename[:200]}` unpacks to far more than its size", "leave it out")
    if entry.is_dir():
        contents.add(entry.filename, 0, is_folder=True, content=None)
        return
    with archive.open(entry) as content:
        contents.add(entry.filename, entry.file_size, is_folder=False, content=content)
