"""Looks into a bundle without unpacking it: is it safe, is it small enough, what does it say about itself."""

from dataclasses import dataclass, field
from typing import Literal

from castari.manifest import Manifest, likely_typos
from castari.services import archive_tar, archive_zip
from castari.services.archive_contents import Contents
from castari.services.archive_streams import CHUNK_BYTES, Counted, Inflated, Readable, broken, refused

BundleFormat = Literal["tar.gz", "zip"]


@dataclass(frozen=True)
class Bundle:
    """What was found: `root` is the one folder that holds everything (with `/`), or empty."""

    format: BundleFormat
    sha256: str
    size_bytes: int
    root: str
    manifest: Manifest
    install_files: dict[str, bytes] = field(repr=False)
    """What decides about an install: package.json, lockfiles and .npmrc, by name."""
    warnings: tuple[str, ...] = ()
    """What is accepted, and should not be in a bundle."""


def check(stream: Readable) -> Bundle:
    """Read a whole bundle once. Raises `Unprocessable` naming the entry, or the field of castari.json."""
    counted = Counted(stream)
    first = counted.peek()
    contents = Contents()
    if first.startswith(b"\x1f\x8b"):
        kind: BundleFormat = "tar.gz"
        _read_tar(Inflated(counted), contents)
    elif first.startswith(b"PK"):
        kind = "zip"
        archive_zip.read(counted, contents)
    else:
        raise broken("it is neither a tar.gz nor a zip file")
    counted.drain()
    root, found = contents.manifest()
    files, warnings = contents.install_files(root), (*contents.warnings.texts, *likely_typos(found))
    return Bundle(kind, counted.sha256, counted.size, root, found, files, warnings)


def _read_tar(stream: Readable, contents: Contents) -> None:
    for entry, content in archive_tar.entries(stream):
        if entry.kind not in {b"0", b"5"}:
            raise refused(f"`{entry.name[:200]}` is a link or a special file", "pack plain files only")
        contents.add(entry.name, entry.size, is_folder=entry.kind == b"5", content=content)
    while stream.read(CHUNK_BYTES):
        pass  # What follows the last entry is no matter, but gzip's checksum stands behind it.
