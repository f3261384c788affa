"""A daemon's process and all its descendants, found through /proc."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat, counted from behind the command's name.
_STATE, _USER_TIME, _SYSTEM_TIME, _RESIDENT = 0, 11, 12, 21


class ProcessTree:
    """Signals a process that adopts its orphans, with everything below it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.pidfd = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        """Signal all of it."""
        for pid in (self._pid, *_below(self._pid)):
            _send(pid, number)

    def kill(self) -> None:
        """End all of it. Stopped first, the daemon can not tell anybody what happens to the rest."""
        _send(self._pid, signal.SIGSTOP)
        while living := [pid for pid in _below(self._pid) if _stat(pid)[_STATE] not in "ZX"]:
            for pid in living:
                _send(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def usage(self) -> tuple[int, int, int]:
        """Resident memory in bytes, CPU time in nanoseconds, and how many processes there are."""
        rows = [row for pid in (self._pid, *_below(self._pid)) if (row := _stat(pid))[_STATE] != "X"]
        memory = sum(int(row[_RESIDENT]) * _PAGE_BYTES for row in rows)
        ticks = sum(int(row[_USER_TIME]) + int(row[_SYSTEM_TIME]) for row in rows)
        return memory, ticks * 1_000_000_000 // _TICKS, len(rows)


def _below(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _below(child)


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X"]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
