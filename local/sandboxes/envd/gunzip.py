"""Unpacks gzip as it arrives."""

import zlib
from collections.abc import Iterator

from local.sandboxes.envd.errors import ConnectError

WBITS = 31
"""What tells zlib to read and write gzip's own header."""

PIECE_BYTES = 256 * 1024


class Gunzip:
    """Unpacks a stream, also of several members, in bounded pieces however strongly it was packed."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=WBITS)
        self._begun = False

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Unpack what has come. Raises `ConnectError` if it is not gzip."""
        while packed:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(wbits=WBITS)
            self._begun = True
            try:
                yield self._inflater.decompress(packed, PIECE_BYTES)
            except zlib.error as error:
                raise ConnectError("invalid_argument", f"the body is not gzip: {error}") from None
            packed = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail

    def check_end(self) -> None:
        """Raise `ConnectError` if the stream is not over."""
        if self._begun and not self._inflater.eof:
            raise ConnectError("invalid_argument", "the gzipped body ends too early")
