"""Attempts to use more of the disk than the sandbox may."""

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .attempts import Refused, attempt
from .targets import Target
from .wire import hold

_MIB = 1024 * 1024
_SLACK_MB = 64


@contextmanager
def _hidden_file() -> Iterator[int]:
    """A file without a name, so that it is gone with its process whatever happens."""
    with tempfile.TemporaryFile(prefix="attack-", dir=Path.home()) as file:
        yield file.fileno()


@attempt("ENOSPC", "EDQUOT", weakness="root")
def fill_disk(target: Target) -> str:
    """Reserve the whole disk, then write until not a page more is taken."""
    enough = (target.limits.disk_mb + _SLACK_MB) * _MIB
    with _hidden_file() as file:
        size = _reserve(file, enough)
        try:
            while size < enough:
                size += os.pwrite(file, b"\1" * 65_536, size)
        except OSError:
            os.ftruncate(file, size)
            hold(f"{size // _MIB} MiB")
            raise
    return f"wrote {size // _MIB} MiB"


@attempt("EPERM", weakness="root", to_root=("ENOSPC", "EDQUOT"))
def fill_disk_for_others(target: Target) -> str:
    """Give files to one user after another, of whom each could have a limit of its own."""
    enough, written, step = (target.limits.disk_mb + _SLACK_MB) * _MIB, 0, 16 * _MIB
    with ExitStack() as stack:
        try:
            while written < enough:
                file = stack.enter_context(_hidden_file())
                os.fchown(file, 1 + written // step, 1 + written // step)
                os.posix_fallocate(file, 0, step)
                written += step
        except OSError:
            hold(f"{written // _MIB} MiB")
            raise
    return f"had {written // _MIB} MiB"


def _reserve(file: int, enough: int) -> int:
    """Reserve up to `enough` bytes in steps that halve when refused; returns how many were had."""
    size, step = 0, 256 * _MIB
    while step >= _MIB and size < enough:
        try:
            os.posix_fallocate(file, size, min(step, enough - size))
        except OSError:
            step //= 2
        else:
            size += min(step, enough - size)
    return size


@attempt("ENOSPC", "EDQUOT", "no table to fill", weakness="root")
def fill_inode_table(target: Target) -> str:
    """Make more empty files than the sandbox may have, in its home and in memory."""
    refusal: OSError | Refused = Refused("no table to fill")
    for folder in (str(Path.home()), "/dev/shm", "/tmp", "/run"):
        if not os.access(folder, os.W_OK) or not os.statvfs(folder).f_files:
            continue
        try:
            return _make_files(folder, target.limits.files)
        except OSError as error:
            refusal = error
    raise refusal


def _make_files(folder: str, count: int) -> str:
    with tempfile.TemporaryDirectory(prefix="attack-", dir=folder) as own:
        try:
            for index in range(count + 1):
                os.close(os.open(f"{own}/{index}", os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError:
            hold(f"{index} files in {folder}")
            raise
    return f"made {count + 1} files in {folder}"


@attempt("ENOSPC", "EDQUOT", weakness="root")
def unpack_zip_bomb(target: Target) -> str:
    """Unpack an archive that is a thousand times its size, and larger than the disk."""
    enough = (target.limits.disk_mb + _SLACK_MB) * _MIB
    bomb = io.BytesIO()
    packed = zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as archive, archive.open("bomb", "w") as member:
        for _ in range(enough // _MIB):
            member.write(bytes(_MIB))
    with zipfile.ZipFile(bomb) as archive, archive.open("bomb") as member, _hidden_file() as file:
        try:
            while chunk := member.read(_MIB):
                os.write(file, chunk)
        except OSError:
            hold("unpacked the disk full")
            raise
    return f"unpacked {enough // _MIB} MiB from {len(bomb.getvalue()) // 1024} KiB"
