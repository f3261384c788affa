"""Reads what a running agent has printed, from a byte on, for whoever may see it.

`output FOLDER STREAM OFFSET LIMIT SECONDS` waits at most SECONDS for a first byte and prints one frame:
`{"castari": "output", "offset": …, "content": base64, "gone": …}`; `gone` once the files were taken away.
"""

from __future__ import annotations

import binascii
import os
import stat
import time

from runner.report import write_frame

_POLL_SECONDS = 0.05
# The agent may have put anything in the place of the file: nothing here may block or follow.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def main(folder: str, stream: str, offset: int, limit: int, seconds: float) -> int:
    """Print what the stream holds from `offset` on, at most `limit` bytes."""
    path, ends_at, seen = f"{folder}/{stream}", time.monotonic() + seconds, False
    while True:
        content = _read(path, offset, limit)
        gone = seen and content is None
        seen = seen or content is not None
        if content or gone or time.monotonic() + _POLL_SECONDS > ends_at:
            break
        time.sleep(_POLL_SECONDS)
    text = binascii.b2a_base64(content or b"", newline=False).decode()
    write_frame("output", offset=offset, content=text, gone=gone)
    return 0


def _read(path: str, offset: int, limit: int) -> bytes | None:
    """Return a part of the file, or None where there is none."""
    try:
        file = os.open(path, _READ)
    except OSError:
        return None
    try:
        return os.pread(file, limit, offset) if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)
