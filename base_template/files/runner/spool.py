"""Keeps what the agent has printed so far in files, which `output` reads while the agent runs.

Most agents end before the first file is made: a short run pays nothing. A file that cannot be written, on a
full disk for one, is given up; the answer does not depend on it.
"""

import os
import time

from runner.output import Head, Tail

BEGINS_AFTER_SECONDS = 0.3
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Spool:
    """One file for each stream, up to `limit` bytes; an offset in a file is the offset in its stream."""

    def __init__(self, folder: str | None, stdout: Head, stderr: Tail, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self.stdout, self.stderr = stdout, stderr
        self._streams: dict[str, Head | Tail] = {"stdout": stdout, "stderr": stderr}
        self._files: dict[Head | Tail, int] = {}
        self._begins_at = time.monotonic() + BEGINS_AFTER_SECONDS if folder else None

    def due_in(self, seconds: float) -> float:
        """Return `seconds`, or what is left until the files are to be made."""
        return seconds if self._begins_at is None else min(seconds, self._begins_at - time.monotonic())

    def look(self) -> None:
        """Make the files if it is time."""
        if self._begins_at is not None and time.monotonic() >= self._begins_at:
            self._begin()

    def add(self, stream: Head | Tail, chunk: bytes) -> None:
        """Take in what is about to be added to a stream."""
        if self._begins_at is not None and stream is self.stderr and self.stderr.overflows(chunk):
            self._begin()  # Later, the front of it is gone.
        if (file := self._files.get(stream)) is not None:
            self._write(file, chunk, self._limit - stream.seen_bytes)

    def remove(self) -> None:
        """Take the files away: what was kept is in the report."""
        for name in self._streams if self._files else ():
            try:
                os.unlink(f"{self._folder}/{name}")
            except OSError:
                pass
        self._close()

    def _begin(self) -> None:
        self._begins_at = None
        try:
            os.makedirs(str(self._folder), mode=0o700, exist_ok=True)
            for name, stream in self._streams.items():
                self._files[stream] = os.open(f"{self._folder}/{name}", _NEW_FILE, 0o600)
        except OSError:
            self._close()
        for stream, file in list(self._files.items()):
            self._write(file, stream.kept(), self._limit)

    def _write(self, file: int, chunk: bytes, room: int) -> None:
        left = memoryview(chunk)[: max(0, room)]
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            self._close()

    def _close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()
