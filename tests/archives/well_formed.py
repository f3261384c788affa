"""Bundles that have to be accepted, with everything odd that honest tools write."""

import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable

from tests.archives.packing import Case, basics, header, plain, raw_tar, special, tar, tar_of, zip_of

_LETTERS = "abcdefgXYZ0189-_ .,+=@()[]äßéñ日本語Ω🙂"
_FORMS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


def files(rng: random.Random, answer: str) -> dict[str, bytes]:
    """Return what is needed and a few more files, no two of which are in each other's way."""
    chosen = basics(answer)
    for _ in range(rng.randrange(12)):
        path = "/".join(_part(rng) for _ in range(rng.randint(1, 5)))
        taken = {name.casefold() for name in chosen}
        if not any(_collide(path.casefold(), name) for name in taken):
            chosen[path] = rng.randbytes(rng.choice([0, 1, 511, 512, 513, rng.randrange(5_000)]))
    return chosen


def _part(rng: random.Random) -> str:
    text = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(1, 14))).strip(" .") or "x"
    return "x" if text.startswith("._") else text


def _collide(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _any_format(rng: random.Random, answer: str) -> bytes:
    form = rng.choice(_FORMS)
    entries = [
        plain(name, content, rng.choice([0o644, 0o755, 0o600, 0]))
        for name, content in files(rng, answer).items()
    ]
    for entry, _ in entries:
        entry.mtime, entry.uid, entry.uname = rng.randrange(2**31), rng.randrange(2**20), "somebody"
    rng.shuffle(entries)
    short = [each for each in entries if form != tarfile.USTAR_FORMAT or len(each[0].name.encode()) < 90]
    return tar(short, form=form, level=rng.randint(0, 9))


def _with_folders(rng: random.Random, answer: str) -> bytes:
    made = files(rng, answer)
    folders = {name.rpartition("/")[0] for name in made if "/" in name}
    entries = [special(f"./{name}/", tarfile.DIRTYPE, "") for name in sorted(folders)]
    return tar(
        [special("./", tarfile.DIRTYPE, ""), *entries, *(plain(f"./{name}", made[name]) for name in made)]
    )


def _below_one_folder(rng: random.Random, answer: str) -> bytes:
    root = f"agent-{rng.randrange(100)}"
    made = {f"{root}/{name}": content for name, content in files(rng, answer).items()}
    if rng.random() < 0.5:
        return zip_of(made | {f"__MACOSX/{root}/._index.js": b"resource"})
    return tar_of(made | {f"{root}/._index.js": b"resource"})


def _as_zip(rng: random.Random, answer: str) -> bytes:
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    return zip_of(
        files(rng, answer),
        method=method,
        comment=rng.randbytes(rng.choice([0, 3, 300])).replace(b"PK", b"kp"),
    )


def _zip_of_unix(rng: random.Random, answer: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(rng, answer).items():
            entry = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            entry.external_attr = (stat.S_IFREG | rng.choice([0o644, 0o755])) << 16
            archive.writestr(entry, content)
        folder = zipfile.ZipInfo("empty folder/")
        folder.external_attr = (stat.S_IFDIR | 0o755) << 16 | 0x10
        archive.writestr(folder, b"")
    return buffer.getvalue()


def _long_and_deep(rng: random.Random, answer: str) -> bytes:
    deep = "/".join("d" * rng.randint(1, 5) for _ in range(39)) + "/x"
    long = "/".join(["n" * 240] * 4)[: rng.randint(300, 950)].rstrip("/")
    return tar_of(basics(answer) | {deep: b"deep", long: b"long"})


def _as_git_archives(_: random.Random, answer: str) -> bytes:
    entries = [plain(f"repo/{name}", content) for name, content in basics(answer).items()]
    return tar(entries, headers={"comment": "0123456789abcdef0123456789abcdef01234567"})


def _from_before_posix(rng: random.Random, answer: str) -> bytes:
    blocks = [header(b"lib/", b"\0", magic=bytes(8))]
    for name, content in basics(answer).items():
        blocks += [
            header(name.encode(), rng.choice([b"\0", b"7"]), f"{len(content):011o}".encode(), bytes(8)),
            content,
        ]
    return raw_tar(*blocks)


def _with_a_byte_order_mark(_: random.Random, answer: str) -> bytes:
    made = basics(answer)
    return tar_of(made | {"castari.json": b"\xef\xbb\xbf" + made["castari.json"]})


def _with_what_is_left_out(_: random.Random, answer: str) -> bytes:
    return tar_of(basics(answer) | {"node_modules/x/index.js": b"1", ".git/HEAD": b"ref", ".env": b"K=v"})


KINDS: dict[str, Callable[[random.Random, str], bytes]] = {
    "any format": _any_format, "with folders": _with_folders, "below one folder": _below_one_folder,
    "zip": _as_zip, "zip of unix": _zip_of_unix, "long and deep": _long_and_deep,
    "git archive": _as_git_archives, "before posix": _from_before_posix,
    "byte order mark": _with_a_byte_order_mark, "left out": _with_what_is_left_out,
}  # fmt: skip


def largest(_: random.Random) -> Case:
    """Return a bundle as large as may be in what has to be remembered of it."""
    lock = random.Random(1).randbytes(10 * 1024**2)  # noqa: S311
    crowd = {f"{'n' * 200}/{number % 100}/{'f' * 600}{number}": b"" for number in range(19_000)}
    return Case("largest", tar_of(basics() | {"package-lock.json": lock} | crowd), accepted=True)


def case(rng: random.Random, answer: str = "sample") -> Case:
    """Return one bundle; deployed, its agent answers `answer`."""
    kind = rng.choice(sorted(KINDS))
    return Case(kind, KINDS[kind](rng, answer), accepted=True)
