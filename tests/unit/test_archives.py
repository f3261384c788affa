"""What is said of bundles, good and hostile, without unpacking one."""

import gzip
import io
import json
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from castari.errors import Unprocessable
from castari.services.archives import check
from tests.unit.bundles import FILES, MANIFEST, entry, header, raw_tar, tar_gz, zipped

MEGABYTE = 1024**2


def refusal(content: bytes) -> str:
    with pytest.raises(Unprocessable) as refused:
        check(io.BytesIO(content))
    return str(refused.value)


@pytest.mark.parametrize("content", [tar_gz(), zipped()], ids=["tar.gz", "zip"])
def test_a_plain_bundle_is_read_once_and_known_by_its_hash(content: bytes) -> None:
    bundle = check(io.BytesIO(content))
    assert bundle.manifest.entrypoint == "src/index.ts"
    assert bundle.size_bytes == len(content)
    assert bundle.root == ""
    assert len(bundle.sha256) == 64


def test_one_folder_that_holds_everything_is_the_root() -> None:
    bundle = check(io.BytesIO(tar_gz({f"agent-1.0/{name}": text for name, text in FILES.items()})))
    assert bundle.root == "agent-1.0/"


def test_what_a_mac_adds_is_no_part_of_the_bundle() -> None:
    files = {f"agent/{name}": text for name, text in FILES.items()}
    bundle = check(io.BytesIO(zipped(files | {"__MACOSX/agent/._castari.json": "x", "agent/._src": "x"})))
    assert bundle.root == "agent/"


def test_what_decides_about_an_install_is_kept() -> None:
    files = FILES | {
        "package.json": "{}",
        "package-lock.json": "{1}",
        ".npmrc": "a=b",
        "lib/package.json": "{}",
    }
    assert check(io.BytesIO(tar_gz(files))).install_files == {
        "package.json": b"{}",
        "package-lock.json": b"{1}",
        ".npmrc": b"a=b",
    }


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "castari.json not found"),
        ("{", "castari.json is no valid JSON"),
        ("[]", "castari.json must be a JSON object"),
        ({"name": "x"}, "`entrypoint`: Field required"),
        ({"entrypoint": "src/index.ts"}, "`name`: Field required"),
        (MANIFEST | {"entrypoint": "src/main.ts"}, "`src/main.ts` is not in the bundle"),
        (MANIFEST | {"entrypoint": "../index.ts"}, "`entrypoint`: must be a path inside the bundle"),
        (MANIFEST | {"entrypoint": "/etc/index.ts"}, "`entrypoint`: must be a path inside the bundle"),
        (MANIFEST | {"entrypoint": "run.sh"}, "must be a file of the runtime node"),
        (MANIFEST | {"runtime": "cobol"}, "`runtime`"),
        (MANIFEST | {"slug": "Not A Slug"}, "`slug`"),
        (MANIFEST | {"version": "one"}, "`version`"),
        (MANIFEST | {"build_secrets": ["CASTARI_JOB"]}, "`build_secrets.0`"),
    ],
)
def test_a_bad_castari_json_names_the_field(manifest: object, said: str) -> None:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    files = FILES | {"castari.json": text} if manifest is not None else {"src/index.ts": "1"}
    assert said in refusal(tar_gz(files))
    assert said in refusal(zipped(files))


def test_unknown_keys_of_castari_json_are_kept() -> None:
    manifest = check(
        io.BytesIO(tar_gz(FILES | {"castari.json": json.dumps({**MANIFEST, "team": "ours"})}))
    ).manifest
    assert manifest.model_dump()["team"] == "ours"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil", "`../evil` leaves the bundle"),
        ("src/../../evil", "`src/../../evil` leaves the bundle"),
        ("/etc/passwd", "`/etc/passwd` leaves the bundle"),
        ("src\\evil.ts", "leaves the bundle"),
        ("line\nend", "control characters"),
        ("SRC/INDEX.ts", "`SRC/INDEX.ts` is there twice"),
        ("src/index.ts", "`src/index.ts` is there twice"),
        ("castari.json/x", "`castari.json/x` lies in what is a file"),
        ("src", "`src` is a file and a folder"),
        ("d/" * 50 + "x", "too long or too deep"),
        ("n" * 1200, "too long or too deep"),
    ],
)
def test_a_name_that_could_do_harm_is_named(name: str, said: str) -> None:
    extra = tarfile.TarInfo(name)
    assert said in refusal(tar_gz(FILES, extra))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"V"],
)
def test_links_and_special_files_are_refused_by_name(kind: bytes) -> None:
    assert "`src/odd` is a link or a special file" in refusal(tar_gz(FILES, entry("src/odd", kind, "/etc")))


def test_a_link_in_a_zip_is_refused_by_name() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("odd")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "`odd` is a link or a special file" in refusal(buffer.getvalue())


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    tracemalloc.start()
    assert "unpacks to far more than its size" in refusal(tar_gz(FILES | {"zeros": bytes(64 * MEGABYTE)}))
    assert "unpacks to far more than its size" in refusal(zipped(FILES | {"zeros": bytes(64 * MEGABYTE)}))
    tracemalloc.stop()


def test_memory_stays_small_whatever_a_header_claims() -> None:
    claims = raw_tar(header(b"x", b"x", b"77777777777"), bytes(512))
    tracemalloc.start()
    assert "an extension header is too long" in refusal(claims)
    assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    tracemalloc.stop()


def test_too_many_entries_are_refused() -> None:
    many = {f"f{number}": "" for number in range(20_001)}
    assert "more than 20000 entries" in refusal(tar_gz(FILES | many))
    assert "more than 20000 entries" in refusal(zipped(FILES | many))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"PK\x03\x04 is no zip",
        b"\x1f\x8b is no gzip",
        tar_gz()[:-20],
        zipped()[:-20],
        gzip.compress(b"not a tar" * 100),
        raw_tar(header(b"x", size=b"0000000000z")),
        raw_tar(header(b"x", size=b"00000077777")),
        raw_tar(header(b"\xff\xfe")),
        raw_tar(header(b"x", b"x", b"00000000010"), b"99 a".ljust(512, b"\0")),
    ],
    ids=range(11),
)
def test_what_is_no_archive_says_so(content: bytes) -> None:
    assert "the bundle cannot be read" in refusal(content)


def test_an_encrypted_zip_is_refused() -> None:
    content = bytearray(zipped())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.find(signature)
        struct.pack_into("<H", content, at + offset, 1)
    assert "is encrypted" in refusal(bytes(content))


def test_gnu_long_names_and_pax_names_are_read() -> None:
    long = "src/" + "n" * 150 + ".ts"
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=tar_format) as archive:
            for name, text in {
                **FILES,
                "castari.json": json.dumps({**MANIFEST, "entrypoint": long}),
                long: "1",
            }.items():
                made = tarfile.TarInfo(name)
                made.size = len(text)
                archive.addfile(made, io.BytesIO(text.encode()))
        assert check(io.BytesIO(buffer.getvalue())).manifest.entrypoint == long


def well_formed(files: dict[str, bytes]) -> dict[str, str | bytes]:
    """Leave out what has the name of another file, or of a folder that another file is in."""
    whole: dict[str, str | bytes] = dict(FILES)
    for path, content in files.items():
        if all(path.casefold() != name.casefold() and not _nested(path, name) for name in whole):
            whole[path] = content
    return whole


def _nested(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


PARTS = st.text("abcXYZ012-_. äé", min_size=1, max_size=12).filter(
    lambda part: part not in {".", ".."} and part.strip() == part and not part.startswith("._")
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=20), st.booleans())
def test_every_well_formed_bundle_is_accepted(files: dict[str, bytes], as_zip: bool) -> None:
    whole = well_formed(files)
    content = zipped(whole) if as_zip else tar_gz(whole)
    assert check(io.BytesIO(content)).manifest.name == "Hello"


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_bundle_is_accepted_or_refused_but_never_crashes(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([tar_gz(), zipped(), gzip.decompress(tar_gz())])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content)
    if not damaged.startswith((b"\x1f\x8b", b"PK")):
        damaged = gzip.compress(damaged)
    with suppress(Unprocessable):
        assert check(io.BytesIO(damaged)).manifest


def test_random_bytes_never_crash_the_reader() -> None:
    for _ in range(200):
        with pytest.raises(Unprocessable):
            check(io.BytesIO(raw_tar(os.urandom(512))))
