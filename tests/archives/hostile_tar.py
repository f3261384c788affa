"""Tar bundles that have to be refused, each with what the refusal has to name."""

import gzip
import random
import tarfile
from collections.abc import Callable
from functools import cache

from tests.archives.packing import Case, basics, header, plain, raw_tar, special, tar, tar_of

Made = tuple[bytes, str]
_SPECIAL = (
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
    b"S",
    b"V",
    b"M",
)
_TWINS = (
    ("index.js", "index.js"), ("Index.JS", "Index.JS"), ("a/\u00e9", "a/e\u0301"), ("stra\u00dfe", "STRASSE"),
)  # fmt: skip


def _outside(rng: random.Random) -> Made:
    name = rng.choice(
        [
            "../evil",
            "a/../../evil",
            "/etc/cron.d/evil",
            "..",
            "a/..",
            "//evil",
            "a\\..\\evil",
            "C:\\evil",
            "\\\\host\\evil",
        ]
    )
    return tar_of(basics(), plain(name, b"evil")), name


def _special(rng: random.Random) -> Made:
    name = f"odd-{rng.randrange(1000)}"
    return tar_of(
        basics(), special(name, rng.choice(_SPECIAL), rng.choice(["/etc/passwd", "..", "index.js"]))
    ), name


def _through_a_link(rng: random.Random) -> Made:
    kind = rng.choice([tarfile.SYMTYPE, tarfile.LNKTYPE])
    return tar_of(basics(), special("way", kind, "/tmp"), plain("way/evil", b"evil")), "way"


def _twins(rng: random.Random) -> Made:
    one, other = rng.choice(_TWINS)
    return tar_of(basics() | {one: b"1"}, plain(other, b"2")), other if one != "Index.JS" else "Index.JS"


def _file_and_folder(rng: random.Random) -> Made:
    entries = [plain("lib", b"file"), plain("lib/x.js", b"below")]
    rng.shuffle(entries)
    return tar_of(basics(), *entries), "lib"


def _folder_with_content(_: random.Random) -> Made:
    hidden = header(b"hidden", b"0", b"00000000000")
    return raw_tar(header(b"folder/", b"5", b"00000001000"), hidden), "folder/"


def _odd_name(rng: random.Random) -> Made:
    name = rng.choice(["line\nend", "bell\x07", "tab\tname", "del\x7f", "n" * 1_200, "d/" * 60 + "x"])
    return tar_of(basics(), plain(name, b"")), ""


def _no_utf8(_: random.Random) -> Made:
    return raw_tar(header(b"caf\xe9.js")), "caf"


def _lying_size(rng: random.Random) -> Made:
    size = rng.choice(
        [b"77777777777", b"0000000000z", b"\x80" + bytes(3) + b"\x7f" * 8, b"\xff" * 12, b"-0000000001"]
    )
    return raw_tar(header(b"liar", size=size), b"x"), ""


def _lying_extension(rng: random.Random) -> Made:
    text = rng.choice(
        [b"99 path=x\n", b"x path=x\n", b"0 path=x\n", b"12 size=-1\n", b"11 size=\xd9\xa1\n", b"\0\0\0"]
    )
    return raw_tar(header(b"x", b"x", f"{len(text):011o}".encode()), text, header(b"file")), ""


def _huge_extension(rng: random.Random) -> Made:
    return raw_tar(header(b"x", rng.choice([b"x", b"g", b"L", b"K"]), b"00077777777"), bytes(70_000)), ""


def _hidden_by_an_extension(rng: random.Random) -> Made:
    records = rng.choice(
        [{"path": "../evil"}, {"path": "/evil"}, {"GNU.sparse.name": "../evil", "GNU.sparse.major": "1"}]
    )
    entry, content = plain("harmless", b"1")
    entry.pax_headers = records
    return tar([*(plain(name, body) for name, body in basics().items()), (entry, content)]), ""


def _named_for_all(_: random.Random) -> Made:
    entries = [plain(name, content) for name, content in basics().items()]
    return tar(entries, headers={"path": "../evil"}), ""


def _long_name_outside(_: random.Random) -> Made:
    entries = [*(plain(name, body) for name, body in basics().items()), plain("../" + "n" * 150, b"")]
    return tar(entries, form=tarfile.GNU_FORMAT), "../nnn"


def _bad_checksum(_: random.Random) -> Made:
    block = bytearray(header(b"file"))
    block[0] ^= 1
    return raw_tar(bytes(block)), ""


@cache
def _bomb_bytes() -> bytes:
    return gzip.compress(raw := bytes(64 * 1024**2), 9, mtime=0)[: len(raw)]


def _bomb(rng: random.Random) -> Made:
    if rng.random() < 0.5:
        return _bomb_bytes(), ""
    return tar_of(basics() | {"zeros": bytes(24 * 1024**2)}), ""


@cache
def _crowd() -> bytes:
    return tar_of(basics(), *(plain(f"f{number}", b"") for number in range(20_001)))


@cache
def _crowd_of_folders() -> bytes:
    return tar_of(basics(), *(plain(f"{number}/" * 30 + "x", b"") for number in range(1_000)))


def _crowded(rng: random.Random) -> Made:
    return (_crowd() if rng.random() < 0.5 else _crowd_of_folders()), "more than 20000"


def _large_lockfiles(_: random.Random) -> Made:
    lock = random.Random(1).randbytes(11 * 1024**2)  # noqa: S311
    return tar_of(basics() | {"package-lock.json": lock}), "package-lock.json"


def _without_manifest(rng: random.Random) -> Made:
    made = basics()
    made.pop("castari.json")
    if rng.random() < 0.5:
        made["deep/down/castari.json"] = b"{}"
    return tar_of(made), "castari.json not found"


def _bad_manifest(rng: random.Random) -> Made:
    text = rng.choice(
        [b"", b"{", b"[]", b"null", b'{"name": 1}', b'{"name": "x"}', b"\xff\xfe{}", b"[" * 60_000,
         b" " * 70_000,
         b'{"name": "x", "entrypoint": "../../etc/passwd"}', b'{"name": "x", "entrypoint": "missing.js"}',
         b'{"name": "x", "entrypoint": "/index.js"}', b'{"name": "x", "entrypoint": ""}']
    )  # fmt: skip
    return tar_of(basics() | {"castari.json": text}), "castari.json"


KINDS: dict[str, Callable[[random.Random], Made]] = {
    "outside": _outside, "special": _special, "through a link": _through_a_link, "twins": _twins,
    "file and folder": _file_and_folder, "folder with content": _folder_with_content, "odd name": _odd_name,
    "no utf-8": _no_utf8, "lying size": _lying_size, "lying extension": _lying_extension,
    "huge extension": _huge_extension, "hidden by an extension": _hidden_by_an_extension,
    "named for all": _named_for_all, "long name outside": _long_name_outside, "bad checksum": _bad_checksum,
    "without manifest": _without_manifest, "bad manifest": _bad_manifest,
}  # fmt: skip
COSTLY: dict[str, Callable[[random.Random], Made]] = {
    "bomb": _bomb, "crowd": _crowded, "large lockfiles": _large_lockfiles,
}  # fmt: skip
"""Such as take a tenth of a second and more each."""


def case(rng: random.Random) -> Case:
    """Return one bundle that is to be refused."""
    kinds = COSTLY if rng.random() < 0.005 else KINDS
    kind = rng.choice(sorted(kinds))
    content, named = kinds[kind](rng)
    return Case(f"tar: {kind}", content, accepted=False, named=named)
