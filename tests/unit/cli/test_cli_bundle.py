"""Bundles: the same files make the same bytes, and what does not fit is named."""

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cast import bundle
from cast.bundle import pack
from cast.errors import CastError

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 250)


@given(st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_what_goes_in_comes_out(content: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "in")
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
        packed = pack(folder, [PurePosixPath(name) for name in content], Path(scratch, "out"))
        with tarfile.open(packed.path) as archive:
            found = {entry.name: archive.extractfile(entry) for entry in archive}
            assert {name: file.read() for name, file in found.items() if file} == content


def test_the_same_files_make_the_same_bundle_wherever_and_whenever(tmp_path: Path) -> None:
    hashes = set()
    for name, when in (("one", 1_000_000_000), ("two", 1_700_000_000)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "index.js").write_text("x")
        os.utime(folder / "index.js", (when, when))
        hashes.add(pack(folder, [PurePosixPath("index.js")], tmp_path / f"{name}.tar.gz").source_hash)
    assert len(hashes) == 1


def test_nothing_of_this_machine_is_in_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o4777)
    packed = pack(tmp_path, [PurePosixPath("run.sh")], tmp_path / "out")
    with tarfile.open(packed.path) as archive:
        (entry,) = archive.getmembers()
    assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) == (0, 0, "", "", 0)
    assert entry.mode == 0o755
    header = packed.path.read_bytes()[:10]
    assert header[3:8] == b"\0\0\0\0\0", "gzip holds a name or a time"


def test_a_bundle_over_the_limit_names_the_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "BUNDLE_LIMIT_BYTES", 1000)
    (tmp_path / "small").write_text("x")
    (tmp_path / "big").write_bytes(os.urandom(2048))
    with pytest.raises(CastError, match=r"the bundle has 2\.\d KB, and 1000 bytes is the limit") as caught:
        pack(tmp_path, [PurePosixPath("small"), PurePosixPath("big")], tmp_path / "out")
    assert ".castariignore; the largest files are big (2 KB), small (1 bytes)" in caught.value.remedy


def test_a_folder_over_the_limit_is_refused_before_it_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "UNPACKED_LIMIT_BYTES", 1000)
    (tmp_path / "zeros").write_bytes(bytes(2048))
    with pytest.raises(CastError, match="the folder has 2 KB"):
        pack(tmp_path, [PurePosixPath("zeros")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CastError, match="gone"):
        pack(tmp_path, [PurePosixPath("gone")], tmp_path / "out")


def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff")
    (tmp_path / name).write_text("")
    with pytest.raises(CastError, match="is not UTF-8"):
        pack(tmp_path, [PurePosixPath(name)], tmp_path / "out")


def test_the_hash_is_of_the_bytes_that_are_uploaded(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    packed = pack(tmp_path, [PurePosixPath("a")], tmp_path / "out")
    content = packed.path.read_bytes()
    assert packed.source_hash == hashlib.sha256(content).hexdigest()
    assert packed.size_bytes == len(content)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as archive:
        assert archive.getnames() == ["a"]
