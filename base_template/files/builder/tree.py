"""Moves a built tree to a clean sandbox: what saw build secrets is never snapshotted itself."""

import mmap
import os
import tarfile
from pathlib import Path

from builder.failure import StepFailed

_SHORTEST_SECRET = 6
"""Shorter values would be found everywhere."""


def pack(folder: Path, archive: Path, secrets: dict[str, str]) -> None:
    """Write the folder, links and all, as a tar file. Raises `StepFailed` if a secret is in a file."""
    values = {name: value.encode() for name, value in secrets.items() if len(value) >= _SHORTEST_SECRET}
    for parent, _, names in os.walk(folder):
        for name in names:
            _refuse_secrets(Path(parent, name), folder, values)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(folder, arcname=".")


def restore(archive: Path, folder: Path) -> None:
    """Write the packed tree back; its links are the agent's own affair."""
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(folder)  # noqa: S202 - inside a sandbox, as its ordinary user


def _refuse_secrets(path: Path, folder: Path, values: dict[str, bytes]) -> None:
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name, value in values.items():
            if content.find(value) >= 0:
                raise StepFailed(
                    f"the install wrote the build secret {name} into {path.relative_to(folder)}",
                    "refer to it as ${" + name + "} there, or delete that file in a postinstall script",
                )
