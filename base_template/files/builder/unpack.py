"""Unpacks a bundle into the agent's folder: plain files and folders, nothing else, nothing outside."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from builder.failure import StepFailed

_DEPENDENCIES = frozenset({"node_modules", ".venv"})
_LEFT_OUT = _DEPENDENCIES | {".git", ".castari", "__MACOSX", "__pycache__"}
_REMEDY = "pack the folder again: plain files and folders only, with paths inside it"


def clear(folder: Path, *, keep_dependencies: bool) -> None:
    """Empty the agent's folder, but for installed dependencies where they are to be used again."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if keep_dependencies and entry.name in _DEPENDENCIES:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def unpack(archive: Path, kind: str, root: str, folder: Path) -> int:
    """Write the entries below `root` into `folder`; return how many files. Raises `StepFailed`."""
    files = 0
    try:
        for name, executable, content in _tar_entries(archive) if kind == "tar.gz" else _zip_entries(archive):
            parts = _parts(name, root)
            if not parts:
                continue
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("xb") as file:
                shutil.copyfileobj(content, file, 1024 * 1024)
            target.chmod(0o755 if executable else 0o644)
            files += 1
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise StepFailed(f"the bundle cannot be unpacked: {error}", _REMEDY) from error
    return files


def _parts(name: str, root: str) -> list[str]:
    """Return the path below the root, empty for what is left out. Raises `StepFailed`."""
    path = name.removeprefix("./")
    if not path.startswith(root):
        return []
    parts = [part for part in path[len(root) :].split("/") if part not in {"", "."}]
    if ".." in parts or name.startswith("/"):
        raise StepFailed(f"`{name}` leaves the bundle", _REMEDY)
    if _LEFT_OUT & set(parts) or (parts and parts[-1].startswith("._")):
        return []
    return parts


def _tar_entries(archive: Path) -> Iterator[tuple[str, bool, IO[bytes]]]:
    with tarfile.open(archive, "r:gz") as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            if content:
                yield entry.name, bool(entry.mode & stat.S_IXUSR), content
            elif not entry.isdir():
                raise StepFailed(f"`{entry.name}` is a link or a special file", _REMEDY)


def _zip_entries(archive: Path) -> Iterator[tuple[str, bool, IO[bytes]]]:
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            mode = entry.external_attr >> 16
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise StepFailed(f"`{entry.filename}` is a link or a special file", _REMEDY)
            if not entry.is_dir():
                yield entry.filename, bool(mode & stat.S_IXUSR), file.open(entry)
