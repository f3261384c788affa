"""Writes files that are knobs of the kernel: three calls each, where Python's own files take ten."""

import os
from pathlib import Path


def write_kernel_file(path: str | Path, text: str) -> None:
    """Write a file in one piece, as the kernel wants its knobs turned. Raises `OSError`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
