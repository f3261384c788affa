"""Processes of the local stack are ended, and never one that only has the same number."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import processes

_FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]
_STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
]

_PARENT = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("begun", flush=True)
signal.pause()
"""


def _start(folder: Path, command: list[str] = _FOREVER, **environment: str) -> processes.Process:
    return processes.start(
        "some", command, environment=environment, folder=folder, pids=folder, log=folder / "log"
    )


@pytest.fixture
def foreign() -> Iterator[processes.Process]:
    """A process that is not ours."""
    child = subprocess.Popen(_FOREVER)
    ticks = processes._start_ticks(child.pid)
    assert ticks
    yield processes.Process(child.pid, ticks)
    child.kill()
    child.wait()


def test_a_started_process_is_found_by_name_until_it_is_stopped(tmp_path: Path) -> None:
    started = _start(tmp_path)
    assert processes.find("some", tmp_path) == started
    processes.stop("some", tmp_path)
    assert not started.alive
    assert processes.find("some", tmp_path) is None


def test_a_process_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    started = _start(tmp_path, _STUBBORN)
    while "deaf" not in (tmp_path / "log").read_text():
        assert started.alive
    processes.stop("some", tmp_path, grace_seconds=0.1)
    assert not started.alive


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_a_number_that_belongs_to_another_process_now_is_left_alone(
    tmp_path: Path, foreign: processes.Process, change: dict[str, object]
) -> None:
    record = {**dataclasses.asdict(foreign), "boot_id": processes._boot_id(), **change}
    (tmp_path / "some.json").write_text(json.dumps(record))
    processes.stop("some", tmp_path, grace_seconds=0)
    assert foreign.alive
    assert not (tmp_path / "some.json").exists()


def test_a_torn_record_names_no_process(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('{"pid": 1')
    assert processes.find("some", tmp_path) is None


def test_what_a_process_of_the_stack_starts_is_found_by_its_mark(
    tmp_path: Path, foreign: processes.Process
) -> None:
    parent = [sys.executable, "-c", _PARENT]
    started = _start(tmp_path, parent, **{processes.MARK: str(tmp_path)})
    while "begun" not in (tmp_path / "log").read_text():
        assert started.alive
    found = list(processes.marked(tmp_path))
    assert len(found) == 2
    assert started in found
    assert foreign not in found
    for process in found:
        process.end(5)
    assert not list(processes.marked(tmp_path))


def test_a_process_gets_only_the_environment_that_it_is_given(tmp_path: Path) -> None:
    started = _start(tmp_path, ["/usr/bin/sleep", "1000"], ONLY="this")
    assert Path(f"/proc/{started.pid}/environ").read_bytes() == b"ONLY=this\0"
    processes.stop("some", tmp_path)


def test_a_log_that_is_missing_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "no log" in processes.tail(tmp_path / "none")
    (tmp_path / "log").write_text("\n".join(map(str, range(100))))
    assert processes.tail(tmp_path / "log", 2) == f"98{os.linesep}99"
