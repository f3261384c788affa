"""Output while an agent runs: what the runner keeps in files, and what is read of them."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from runner.output import Head, Tail
from runner.spool import Spool

RUNNER = Path(__file__).parents[3] / "base_template/files"


def read(folder: Path, stream: str = "stdout", offset: int = 0, limit: int = 100, seconds: float = 0) -> Any:
    words = ["output", str(folder), stream, str(offset), str(limit), str(seconds)]
    ran = subprocess.run([sys.executable, "-I", "-S", "-B", RUNNER, *words], capture_output=True, check=True)
    (line,) = ran.stdout.splitlines()
    frame = json.loads(line)
    assert frame["castari"] == "output"
    return frame | {"content": base64.b64decode(frame["content"])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def spool(folder: Path, *, tail: int = 1_000, limit: int = 1_000) -> tuple[Spool, Head, Tail]:
    head, end = Head(10_000), Tail(tail)
    return Spool(str(folder), head, end, limit), head, end


def add(made: Spool, stream: Head | Tail, chunk: bytes) -> None:
    made.add(stream, chunk)
    stream.add(chunk)


def due(made: Spool) -> None:
    """Let the time come at which the files are made."""
    made._begins_at = time.monotonic()
    made.look()


def test_no_file_is_made_for_a_short_run(folder: Path) -> None:
    made, head, _ = spool(folder)
    add(made, head, b"answer")
    made.look()
    made.remove()
    assert not folder.exists()


def test_what_was_printed_before_the_files_were_made_is_in_them_and_what_follows_too(folder: Path) -> None:
    made, head, tail = spool(folder)
    add(made, head, b"one ")
    add(made, tail, b"log")
    due(made)
    add(made, head, b"two")
    assert (folder / "stdout").read_bytes() == b"one two"
    assert (folder / "stderr").read_bytes() == b"log"
    made.remove()
    assert list(folder.iterdir()) == []


def test_the_files_are_made_before_the_front_of_stderr_is_gone(folder: Path) -> None:
    made, _, tail = spool(folder, tail=10)
    for chunk in (b"0123456", b"789abcdef", b"x" * 50):
        add(made, tail, chunk)
    assert (folder / "stderr").read_bytes() == b"0123456789abcdef" + b"x" * 50


def test_a_file_ends_at_the_limit(folder: Path) -> None:
    made, head, _ = spool(folder, limit=10)
    add(made, head, b"0123456")
    due(made)
    for _ in range(3):
        add(made, head, b"789abc")
    assert (folder / "stdout").read_bytes() == b"0123456789"


def test_a_folder_that_cannot_be_made_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made, head, _ = spool(tmp_path / "file" / "spool")
    due(made)
    add(made, head, b"answer")
    made.remove()
    assert head.content() == b"answer"


def test_a_disk_that_is_full_harms_nothing(folder: Path) -> None:
    made, head, _ = spool(folder)
    due(made)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, made._files[head])
    os.close(full)
    add(made, head, b"answer")
    add(made, head, b" and more")
    assert head.content() == b"answer and more"


def test_a_part_is_read_from_a_byte_on(folder: Path) -> None:
    folder.mkdir()
    (folder / "stdout").write_bytes(b"0123456789\xff")
    assert read(folder, offset=3, limit=4)["content"] == b"3456"
    assert read(folder, offset=10)["content"] == b"\xff"
    assert read(folder, offset=99)["content"] == b""


def test_a_reader_waits_for_the_first_byte(folder: Path) -> None:
    folder.mkdir()
    (folder / "stdout").write_bytes(b"")
    timer = threading.Timer(0.3, (folder / "stdout").write_bytes, [b"now"])
    timer.start()
    assert read(folder, seconds=20)["content"] == b"now"


def test_a_reader_is_told_that_the_files_were_taken_away(folder: Path) -> None:
    folder.mkdir()
    (folder / "stdout").write_bytes(b"0")
    timer = threading.Timer(0.3, (folder / "stdout").unlink)
    timer.start()
    assert read(folder, offset=1, seconds=20)["gone"] is True


@pytest.mark.parametrize("trick", ["link", "pipe", "folder", "device"])
def test_what_an_agent_puts_in_the_place_of_the_file_neither_blocks_nor_is_followed(
    folder: Path, trick: str
) -> None:
    folder.mkdir()
    file = folder / "stdout"
    match trick:
        case "link":
            file.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case "device":
            file.symlink_to("/dev/zero")
    assert read(folder)["content"] == b""
