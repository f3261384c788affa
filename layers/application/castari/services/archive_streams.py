"""Streams that count: what a bundle's bytes hash to, and how far they may grow when inflated."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import Protocol

from castari.errors import Unprocessable

CHUNK_BYTES = 64 * 1024
_HIGHEST_RATIO = 200
_RATIO_FREE_BYTES = 10 * 1024**2
"""Below this, how well something is compressed does not matter."""


class Readable(Protocol):
    """Bytes in order: a file, an entry, an inflated stream."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, empty at the end."""


def refused(why: str, remedy: str) -> Unprocessable:
    """Return the error for a bundle that breaks a rule."""
    return Unprocessable(
        f"the bundle is refused: {why}. To mend it: {remedy}", field=("file",), kind="bundle"
    )


def broken(why: str) -> Unprocessable:
    """Return the error for an archive that is no archive."""
    return Unprocessable(
        f"the bundle cannot be read: {why}. Pack it again as tar.gz or zip", field=("file",), kind="bundle"
    )


def too_compressed(unpacked: int, packed: int) -> bool:
    """Tell whether something is compressed as only a bomb is."""
    return unpacked > max(_RATIO_FREE_BYTES, _HIGHEST_RATIO * packed)


class Counted:
    """A stream that hashes and counts what is read of it."""

    def __init__(self, stream: Readable) -> None:
        self._stream, self._peeked = stream, b""
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash of what was read, in hexadecimal."""
        return self._digest.hexdigest()

    def peek(self) -> bytes:
        """Return the first bytes, which the next read gives again."""
        self._peeked = self._stream.read(CHUNK_BYTES)
        return self._peeked

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, empty at the end."""
        if self._peeked:
            chunk, self._peeked = self._peeked[:size], self._peeked[size:]
        else:
            chunk = self._stream.read(size)
        self._digest.update(chunk)
        self.size += len(chunk)
        return chunk

    def drain(self) -> None:
        """Read what is left, so that the hash is that of the whole."""
        while self.read(CHUNK_BYTES):
            pass


class Inflated:
    """What a gzip stream holds, with a limit on how much it may grow."""

    def __init__(self, source: Counted) -> None:
        self._source = source
        self._inflate = zlib.decompressobj(wbits=31)
        self._total = 0

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes, fewer only at the end. Raises `Unprocessable`."""
        return b"".join(self._pieces(size))

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = self._next(size)
            if not piece:
                return
            size -= len(piece)
            yield piece

    def _next(self, size: int) -> bytes:
        while not self._inflate.eof:
            fed = self._inflate.unconsumed_tail or self._source.read(CHUNK_BYTES)
            try:
                piece = self._inflate.decompress(fed, size)
            except zlib.error as error:
                raise broken("its compression is damaged") from error
            self._total += len(piece)
            if too_compressed(self._total, self._source.size):
                raise refused("it unpacks to far more than its size", "leave out files that are all alike")
            if piece:
                return piece
            if not fed:
                raise broken("it ends in the middle")
        return b""
