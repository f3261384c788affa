"""Makes bundles for tests, well formed and otherwise."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping

MANIFEST = {"name": "Hello", "entrypoint": "src/index.ts"}
FILES = {"castari.json": json.dumps(MANIFEST), "src/index.ts": "console.log('hi')\n"}


def tar_gz(files: Mapping[str, str | bytes] = FILES, *extra: tarfile.TarInfo) -> bytes:
    """Return a tar.gz of files, then entries of any kind."""
    buffer = io.BytesIO()
    # Without the time: what is packed twice is the same bundle.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in extra:
            archive.addfile(entry)
    return buffer.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return an entry without content: a link, a device, a folder."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def zipped(files: Mapping[str, str | bytes] = FILES) -> bytes:
    """Return a zip of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def raw_tar(*headers: bytes) -> bytes:
    """Return a gzip of blocks written by hand."""
    return gzip.compress(b"".join(headers) + bytes(1024))


def header(
    name: bytes, kind: bytes = b"0", size: bytes = b"00000000000", magic: bytes = b"ustar\x0000"
) -> bytes:
    """Return one tar header with a proper checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257 : 257 + len(magic)] = magic
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
