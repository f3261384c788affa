"""Starts the stack's processes detached and ends them, and never one that is not the stack's own."""

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

MARK = "CASTARI_LOCAL_ROOT"
"""The variable by which a process, and whatever it starts, is found again as one of a stack's."""

_STATE, _START_TICKS = 0, 19  # fields of /proc/PID/stat after the command's closing parenthesis
_POLL_SECONDS = 0.02
_children: list[subprocess.Popen[bytes]] = []
"""Held so that those of them that end before this process does are reaped."""


class ProcessFailed(Exception):
    """A process of the stack ended or did not become ready; the message shows the end of its log."""


@dataclasses.dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for another one with the same number."""

    pid: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        for child in _children:
            child.poll()
        return _start_ticks(self.pid) == self.start_ticks

    def end(self, grace_seconds: float) -> None:
        """Ask it to end, wait, then end it and its session by force."""
        _signal(self, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self.alive and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        _signal(self, signal.SIGKILL)
        while self.alive:
            time.sleep(_POLL_SECONDS)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.alive:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _start_ticks(pid: int) -> int | None:
    """Return when `pid` started in clock ticks since boot, or None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[_STATE] == "Z" else int(fields[_START_TICKS])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    pids: Path,
    log: Path,
) -> Process:
    """Start a process in a session of its own, with exactly this environment, and remember it by name."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children.append(child)
    process = Process(child.pid, _start_ticks(child.pid) or 0)
    record = {"pid": process.pid, "start_ticks": process.start_ticks, "boot_id": _boot_id()}
    (pids / f"{name}.json").write_text(json.dumps(record))
    return process


def find(name: str, pids: Path) -> Process | None:
    """Return the process that was started under this name, if it still runs."""
    try:
        record = json.loads((pids / f"{name}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    process = Process(record["pid"], record["start_ticks"])
    return process if record["boot_id"] == _boot_id() and process.alive else None


def stop(name: str, pids: Path, *, grace_seconds: float = 10.0) -> None:
    """End the process of this name, if it runs, and forget it."""
    process = find(name, pids)
    if process:
        process.end(grace_seconds)
    (pids / f"{name}.json").unlink(missing_ok=True)


def marked(root: Path) -> Iterator[Process]:
    """Yield every process whose environment carries the mark of the stack in `root`."""
    wanted = f"{MARK}={root}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        ticks = _start_ticks(int(entry.name))
        if ticks is not None and wanted in environment.split(b"\0"):
            yield Process(int(entry.name), ticks)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, or say that there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return f"(no log at {log})"
