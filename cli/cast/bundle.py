"""Packs an agent's folder into a bundle: the same files make the same bytes."""

import gzip
import hashlib
import stat
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cast.errors import CastError
from cast.text import byte_size

# The platform's own limits: it checks again.
BUNDLE_LIMIT_BYTES = 250 * 1024 * 1024
UNPACKED_LIMIT_BYTES = 1024 * 1024 * 1024
_EXECUTABLE, _PLAIN = 0o755, 0o644
_LARGEST_NAMED = 3


@dataclass(frozen=True)
class Bundle:
    """A packed folder. `source_hash` is the SHA-256 of its bytes, in hexadecimal."""

    path: Path
    size_bytes: int
    source_hash: str


def pack(folder: Path, files: Sequence[PurePosixPath], target: Path) -> Bundle:
    """Write a tar.gz of the files to `target`. Raises `CastError` over a limit, naming the largest files."""
    _check_unpacked_size(folder, files)
    with target.open("wb") as raw:
        _write(folder, files, raw)
    size = target.stat().st_size
    if size > BUNDLE_LIMIT_BYTES:
        raise _too_large("the bundle", size, BUNDLE_LIMIT_BYTES, folder, files)
    with target.open("rb") as packed:
        return Bundle(target, size, hashlib.file_digest(packed, "sha256").hexdigest())


def _write(folder: Path, files: Sequence[PurePosixPath], raw: BinaryIO) -> None:
    # Neither names nor times of this machine go in, so that the hash speaks of the content alone.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in files:
            content, mode = _read(folder / path)
            archive.addfile(_entry(path, len(content), mode), BytesIO(content))


def _read(path: Path) -> tuple[bytes, int]:
    """Return the content and mode. A file that grows while it is read is still packed whole."""
    with _named_errors(path), path.open("rb") as file:
        content = file.read()
        return content, path.stat().st_mode


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CastError(
            f"{path} cannot be read: {error.strerror}", "mend it, or name it in .castariignore"
        ) from error


def _size(path: Path) -> int:
    with _named_errors(path):
        return path.stat().st_size


def _entry(path: PurePosixPath, size: int, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(_portable(path))
    entry.size = size
    entry.mode = _EXECUTABLE if mode & stat.S_IXUSR else _PLAIN
    return entry


def _portable(path: PurePosixPath) -> str:
    name = path.as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CastError(
            f"the name of {name!r} is not UTF-8", "rename it, or name it in .castariignore"
        ) from error
    return name


def _check_unpacked_size(folder: Path, files: Sequence[PurePosixPath]) -> None:
    size = sum(_size(folder / path) for path in files)
    if size > UNPACKED_LIMIT_BYTES:
        raise _too_large("the folder", size, UNPACKED_LIMIT_BYTES, folder, files)


def _too_large(what: str, size: int, limit: int, folder: Path, files: Sequence[PurePosixPath]) -> CastError:
    largest = sorted(files, key=lambda path: _size(folder / path), reverse=True)[:_LARGEST_NAMED]
    named = ", ".join(f"{path} ({byte_size(_size(folder / path))})" for path in largest)
    return CastError(
        f"{what} has {byte_size(size)}, and {byte_size(limit)} is the limit",
        f"name what the agent does not need in .castariignore; the largest files are {named}",
    )
