"""Packs entries into archives of every kind, also such as no honest tool would write."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = 512
MANIFEST = {"name": "Sample", "version": "1.0.0", "entrypoint": "index.js"}


@dataclass(frozen=True)
class Case:
    """An archive, and what has to be made of it: `named` must stand in the refusal."""

    kind: str
    content: bytes
    accepted: bool
    named: str = ""


def basics(answer: str = "sample") -> dict[str, bytes]:
    """Return the files without which nothing can be deployed."""
    return {
        "castari.json": json.dumps(MANIFEST).encode(),
        "package.json": b'{"name": "sample", "version": "1.0.0"}',
        "index.js": f"process.stdin.resume().on('end', () => console.log({json.dumps(answer)}))\n".encode(),
    }


def plain(name: str, content: bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """Return a plain file as an entry of a tar."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    return entry, content


def special(name: str, kind: bytes, target: str = "/etc") -> tuple[tarfile.TarInfo, bytes]:
    """Return a link, a device or whatever a kind stands for."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def tar(
    entries: Iterable[tuple[tarfile.TarInfo, bytes]],
    *,
    form: int = tarfile.PAX_FORMAT,
    level: int = 6,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return a tar.gz of entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, pax_headers=headers) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), level, mtime=0)


def tar_of(files: dict[str, bytes], *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a tar.gz of plain files and then other entries."""
    return tar([*(plain(name, content) for name, content in files.items()), *more])


def zip_of(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """Return a zip of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = comment
    return buffer.getvalue()


def header(
    name: bytes, kind: bytes = b"0", size: bytes = b"00000000000", magic: bytes = b"ustar\x0000"
) -> bytes:
    """Return one block of a tar with a right checksum."""
    block = bytearray(BLOCK)
    block[: len(name[:100])] = name[:100]
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124 : 124 + len(size)] = size
    block[136:148], block[156:157], block[257:265] = b"00000000000\0", kind, magic
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def raw_tar(*blocks: bytes) -> bytes:
    """Return a tar.gz of blocks, each filled up, and the end."""
    filled = b"".join(block + bytes(-len(block) % BLOCK) for block in blocks)
    return gzip.compress(filled + bytes(2 * BLOCK), mtime=0)
