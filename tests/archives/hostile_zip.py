"""Zip bundles that have to be refused, each with what the refusal has to name."""

import io
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from functools import cache

from tests.archives.packing import Case, basics, zip_of

Made = tuple[bytes, str]
_DIRECTORY, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def _outside(rng: random.Random) -> Made:
    name = rng.choice(["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "C:\\evil"])
    return zip_of(basics() | {name: b"evil"}), "evil"


def _special(rng: random.Random) -> Made:
    kind = rng.choice([stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
    buffer = io.BytesIO(zip_of(basics()))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("odd")
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue(), "odd"


def _twins(_: random.Random) -> Made:
    return zip_of(basics() | {"INDEX.js": b"other"}), "INDEX.js"


def _encrypted(_: random.Random) -> Made:
    content = bytearray(zip_of(basics()))
    for signature, offset in ((_DIRECTORY, 8), (_LOCAL, 6)):
        struct.pack_into("<H", content, content.find(signature) + offset, 1)
    return bytes(content), "encrypted"


def _method(rng: random.Random) -> Made:
    return zip_of(basics(), method=rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])), "deflate"


def _nul_in_name(_: random.Random) -> Made:
    return zip_of(basics() | {"innocent.js#evil": b"x"}).replace(
        b"innocent.js#evil", b"innocent.js\0evil"
    ), "innocent.js"


def _other_local_name(_: random.Random) -> Made:
    content = bytearray(zip_of(basics() | {"harmless.js": b"x"}))
    at = content.find(b"harmless.js")
    content[at : at + 11] = b"../evil.js."[:11]
    return bytes(content), ""


def _more_than_it_says(_: random.Random) -> Made:
    """The end says one entry, the directory holds very many."""
    content = bytearray(_crowd())
    struct.pack_into("<HH", content, content.rfind(_END) + 8, 1, 1)
    return bytes(content), "more than 20000"


@cache
def _crowd() -> bytes:
    return zip_of(basics() | {f"f{number}": b"" for number in range(20_001)})


def _many(_: random.Random) -> Made:
    return _crowd(), "more than 20000"


def _large(_: random.Random) -> Made:
    """A locator of the zip64 form makes readers believe another directory."""
    content = zip_of(basics())
    at = content.rfind(_END)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 3, 3, 2**33, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    return content[:at] + record + locator + content[at:], "zip64"


def _directory_too_large(_: random.Random) -> Made:
    content = bytearray(zip_of(basics()))
    struct.pack_into("<I", content, content.rfind(_END) + 12, 2**31)
    return bytes(content), ""


def _bomb(_: random.Random) -> Made:
    return zip_of(basics() | {"zeros": bytes(24 * 1024**2)}), "zeros"


def _overlapping(_: random.Random) -> Made:
    """Every entry of the directory names the same few bytes, which unpack to much."""
    content = zip_of(basics() | {"kernel": random.Random(1).randbytes(900_000)})  # noqa: S311
    at, end = content.rfind(_DIRECTORY), content.rfind(_END)
    entry = content[at:end]
    more = b"".join(entry.replace(b"kernel", f"k{number:05}".encode()) for number in range(1_300))
    tail = bytearray(content[end:])
    size = struct.unpack_from("<I", tail, 12)[0] + len(more)
    struct.pack_into("<HHI", tail, 8, 1_304, 1_304, size)
    return content[:end] + more + bytes(tail), ""


def _claims_more(_: random.Random) -> Made:
    """Small in truth, a thousand times as large by its directory."""
    content = bytearray(zip_of(basics() | {"claims": b"x"}))
    struct.pack_into("<I", content, content.rfind(_DIRECTORY) + 24, 2**30 - 1)
    return bytes(content), "claims"


KINDS: dict[str, Callable[[random.Random], Made]] = {
    "outside": _outside, "special": _special, "twins": _twins, "encrypted": _encrypted, "method": _method,
    "nul in a name": _nul_in_name, "other local name": _other_local_name, "large": _large,
    "directory too large": _directory_too_large, "claims more": _claims_more,
}  # fmt: skip
COSTLY: dict[str, Callable[[random.Random], Made]] = {
    "more than it says": _more_than_it_says, "many": _many, "bomb": _bomb, "overlapping": _overlapping,
}  # fmt: skip


def case(rng: random.Random) -> Case:
    """Return one bundle that is to be refused."""
    kinds = COSTLY if rng.random() < 0.01 else KINDS
    kind = rng.choice(sorted(kinds))
    content, named = kinds[kind](rng)
    return Case(f"zip: {kind}", content, accepted=False, named=named)
