"""What is kept of the agent's output: the first bytes of stdout, the last of stderr."""

_LONGEST_CHARACTER_BYTES = 4


class Head:
    """Keeps the first `limit` bytes and counts the rest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self.seen_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Keep what still fits."""
        room = self._limit - self.seen_bytes
        if room > 0:
            self._chunks.append(chunk[:room])
        self.seen_bytes += len(chunk)

    @property
    def truncated(self) -> bool:
        """Whether something was not kept."""
        return self.seen_bytes > self._limit

    def kept(self) -> bytes:
        """Return what was kept."""
        return b"".join(self._chunks)

    def content(self) -> bytes:
        """Return what was kept; a character that the limit cut in two is left out."""
        kept = self.kept()
        return without_broken_end(kept) if self.truncated else kept


class Tail:
    """Keeps the last `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.seen_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Keep it at the end, let go of as much at the front."""
        self._kept += chunk[-self._limit :]
        self.seen_bytes += len(chunk)
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit]

    @property
    def truncated(self) -> bool:
        """Whether something was let go of."""
        return self.seen_bytes > self._limit

    def overflows(self, chunk: bytes) -> bool:
        """Whether something would be let go of with this chunk."""
        return self.seen_bytes + len(chunk) > self._limit

    def kept(self) -> bytes:
        """Return what was kept."""
        return bytes(self._kept[-self._limit :])


def without_broken_end(content: bytes) -> bytes:
    """Return UTF-8 without an unfinished last character; anything else as it is."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        if error.end == len(content) and len(content) - error.start < _LONGEST_CHARACTER_BYTES:
            return content[: error.start]
    return content
