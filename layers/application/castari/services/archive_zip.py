"""Looks into a zip file: its directory stands at its end, so the file is spooled first."""

import stat
import struct
import tempfile
import zipfile
import zlib
from typing import IO

from castari.services import archive_zip_directory
from castari.services.archive_contents import Contents
from castari.services.archive_streams import CHUNK_BYTES, Readable, broken, refused, too_compressed

# What the standard library raises on damaged files: its checks are not complete.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, RuntimeError, ValueError),
)
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Others ask for as much memory as the file says."""


def read(stream: Readable, contents: Contents) -> None:
    """Add every entry to `contents`. Raises `Unprocessable`."""
    with tempfile.TemporaryFile() as spooled:
        for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
            spooled.write(chunk)
        archive_zip_directory.check(spooled)
        try:
            _read_entries(spooled, contents)
        except _DAMAGED as error:
            raise broken(str(error)) from error


def _read_entries(spooled: IO[bytes], contents: Contents) -> None:
    with zipfile.ZipFile(spooled) as archive:
        for entry in archive.infolist():
            _add_entry(archive, entry, contents)


def _add_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, contents: Contents) -> None:
    name = entry.orig_filename[:200]
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise refused(f"`{name}` is a link or a special file", "pack plain files only")
    if entry.flag_bits & 1:
        raise refused(f"`{name}` is encrypted", "pack without a password")
    if entry.compress_type not in _METHODS:
        raise refused(f"`{name}` is compressed by a method other than deflate", "pack with deflate")
    if too_compressed(entry.file_size, entry.compress_size):
        raise refused(f"`{name}` unpacks to far more than its size", "leave it out")
    if entry.is_dir():
        contents.add(entry.orig_filename, entry.file_size, is_folder=True, content=None)
        return
    with archive.open(entry) as content:
        contents.add(entry.orig_filename, entry.file_size, is_folder=False, content=content)
