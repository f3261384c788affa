"""Reads the headers of a tar stream: never more than one block and one short extension in memory.

The standard library's reader holds whatever an extension header claims, which a stranger chooses.
Format: POSIX.1-2001 (pax) and GNU tar.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from castari.services.archive_streams import CHUNK_BYTES, Readable, broken

_BLOCK = 512
_LONGEST_EXTENSION_BYTES = 64 * 1024
_CHECKSUM = slice(148, 156)


@dataclass(frozen=True)
class Entry:
    """One entry; `kind` is its type flag: b"0" file, b"5" folder, others are links and special files."""

    name: str
    kind: bytes
    size: int


def entries(stream: Readable) -> Iterator[tuple[Entry, Readable]]:
    """Yield each entry and its content, to be read before the next one. Raises `Unprocessable`."""
    extension: dict[str, str] = {}
    while (block := _read(stream, _BLOCK)).strip(b"\0"):
        kind, size = _kind(block), _size(block)
        if kind in {b"x", b"g", b"L", b"K"}:
            text = _extension(stream, size)
            if kind == b"x":
                extension |= _pax(text)
            elif kind == b"g" and _pax(text):
                raise broken("one extension header names many entries")
            elif kind == b"L":
                extension["path"] = _text(text.rstrip(b"\0"))
            continue
        entry = Entry(extension.get("path") or _name(block), kind, int(extension.get("size", size)))
        content = _Content(stream, entry.size)
        yield entry, content
        content.skip()
        extension = {}


class _Content:
    """The bytes of one entry."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream, self._left = stream, size
        self._padding = -size % _BLOCK

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, empty at the end."""
        wanted = min(size, self._left)
        chunk = _read(self._stream, wanted)
        self._left -= len(chunk)
        return chunk

    def skip(self) -> None:
        """Pass over what was not read."""
        while self._left:
            self.read(CHUNK_BYTES)
        _read(self._stream, self._padding)


def _read(stream: Readable, size: int) -> bytes:
    """Return exactly `size` bytes; nothing at all at the very end is an end block."""
    content = stream.read(size)
    if len(content) == size:
        return content
    if not content and size == _BLOCK:
        return bytes(_BLOCK)
    raise broken("it ends in the middle")


def _kind(block: bytes) -> bytes:
    signed = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    if _number(block[_CHECKSUM]) != signed:
        raise broken("a header's checksum is wrong")
    kind = block[156:157]
    if kind == b"\0" and block[:100].split(b"\0")[0].endswith(b"/"):
        return b"5"  # from before folders had a kind of their own
    return b"0" if kind in {b"\0", b"7"} else kind


def _size(block: bytes) -> int:
    return _number(block[124:136])


def _number(field: bytes) -> int:
    """Return an octal number, or GNU's binary form for large ones."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise broken("a header holds no number where one belongs")
    return int(digits or b"0", 8)


def _name(block: bytes) -> str:
    name, prefix = block[:100].split(b"\0")[0], block[345:500].split(b"\0")[0]
    ustar = block[257:263] == b"ustar\0"
    return _text(prefix + b"/" + name if ustar and prefix else name)


def _extension(stream: Readable, size: int) -> bytes:
    if size > _LONGEST_EXTENSION_BYTES:
        raise broken("an extension header is too long")
    text = _read(stream, size)
    _read(stream, -size % _BLOCK)
    return text


def _pax(text: bytes) -> dict[str, str]:
    """Return path and size of `length key=value` records."""
    found = {}
    while text:
        length, _, rest = text.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(text):
            raise broken("an extension header is malformed")
        record = rest[: int(length) - len(length) - 1]
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        if key.startswith(b"GNU.sparse."):
            raise broken("it holds a sparse file, which not everybody reads alike")
        if key in {b"path", b"size"}:
            found[_text(key)] = _text(value)
        text = text[int(length) :]
    if not found.get("size", "0").isascii() or not found.get("size", "0").isdigit():
        raise broken("an extension header is malformed")
    return found


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise broken(f"the name {name[:80]!r} is no UTF-8") from error
