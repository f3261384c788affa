"""Files of the server's own that must be whole after a crash."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file at once: whoever reads it later sees all of the old one, or of the new one."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
