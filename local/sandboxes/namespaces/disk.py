"""The disk of an instance: btrfs in one sparse file, with a quota for each sandbox and the layers."""

import contextlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces import btrfs, syscalls

_GIB = 1024**3
_MINIMUM_GB = 2
_MOST_OF_FREE_SPACE = 0.8


@dataclass(frozen=True)
class Disk:
    """A mounted disk. Layers outlive the server, sandboxes do not."""

    mount: Path

    def sandbox(self, index: int) -> Path:
        """Return the subvolume of a sandbox: `upper` and `work` of its overlay."""
        return self.mount / "sandboxes" / str(index)

    def layers(self) -> frozenset[str]:
        """Return the ids of all layers."""
        return frozenset(path.name for path in self._layers().iterdir())

    def keep(self, index: int, layer_id: str, base: tuple[Path, ...]) -> None:
        """Make a layer of what a sandbox wrote so far, over the root filesystem `base`."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", layer_id):
            raise EngineError(f"layer id {layer_id!r}: use up to 128 letters, digits, dots and dashes")
        self._base_of(layer_id).write_text(json.dumps([str(path) for path in base]))
        try:
            btrfs.snapshot_subvolume(self.sandbox(index), self._layers() / layer_id)
        except FileExistsError as error:
            raise EngineError(f"layer {layer_id!r} exists already") from error

    def lower(self, layer_id: str) -> Path:
        """Return the overlay directory of a layer. Raises `EngineError` if there is none."""
        path = self._layers() / layer_id / "upper"
        if not path.is_dir():
            raise EngineError(
                f"there is no layer {layer_id!r}: it was deleted, or belongs to another instance"
            )
        return path

    def base_of(self, layer_id: str) -> tuple[Path, ...]:
        """Return the root filesystem that a layer was made over: it fits no other."""
        base = tuple(map(Path, json.loads(self._base_of(layer_id).read_text())))
        if missing := [path for path in base if not path.is_dir()]:
            raise EngineError(
                f"layer {layer_id!r} needs {missing[0]}, which is gone: make the snapshot again"
            )
        return base

    def delete_layer(self, layer_id: str) -> None:
        """Delete a layer that no sandbox uses. Safe to call again."""
        with contextlib.suppress(FileNotFoundError):
            btrfs.delete_subvolume(self._layers() / layer_id)
        self._base_of(layer_id).unlink(missing_ok=True)

    def delete_sandbox(self, index: int) -> None:
        """Delete what a sandbox wrote. Safe to call again."""
        with contextlib.suppress(FileNotFoundError):
            btrfs.delete_subvolume(self.sandbox(index))

    def used_bytes(self, index: int) -> int:
        """Return what a sandbox wrote and still holds."""
        return btrfs.used_bytes(self.mount, btrfs.subvolume_id(self.sandbox(index)))

    def _layers(self) -> Path:
        return self.mount / "layers"

    def _base_of(self, layer_id: str) -> Path:
        return self.mount / "bases" / layer_id


def open_disk(state_dir: Path, mount: Path, size_gb: int) -> Disk:
    """Mount the disk that `state_dir` keeps, made on first use; sandboxes that a crash left go."""
    image = state_dir / "disk.btrfs"
    if not image.exists():
        _make_image(image, size_gb)
    mount.mkdir(parents=True, exist_ok=True)
    _run("mount", "-o", "loop,noatime,commit=5", str(image), str(mount))
    # Otherwise each page is cached twice: as one of the disk and as one of its file.
    _run("losetup", "--direct-io=on", _loop_device(mount))
    btrfs.enable_quotas(mount)
    disk = Disk(mount)
    for name in ("sandboxes", "layers", "bases"):
        (mount / name).mkdir(exist_ok=True, mode=0o700)
    for leftover in (mount / "sandboxes").iterdir():
        disk.delete_sandbox(int(leftover.name))
    return disk


def close_disk(mount: Path) -> None:
    """Unmount the disk; its file stays. Safe to call again."""
    while mount.is_mount():
        syscalls.unmount(str(mount), syscalls.MNT_DETACH)


def _make_image(image: Path, size_gb: int) -> None:
    image.parent.mkdir(parents=True, exist_ok=True)
    room = int(shutil.disk_usage(image.parent).free * _MOST_OF_FREE_SPACE)
    size = min(size_gb * _GIB, room)
    if size < _MINIMUM_GB * _GIB:
        raise EngineError(
            f"{image.parent} has no {_MINIMUM_GB} GB to spare: free some, or choose another folder"
        )
    new = image.with_suffix(".new")
    with new.open("wb") as file:
        file.truncate(size)
    _run("mkfs.btrfs", "--quiet", "--force", "--metadata", "single", str(new))
    new.rename(image)


def _loop_device(mount: Path) -> str:
    lines = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next(device for device, target, *_ in lines if target == str(mount))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise EngineError(f"`{' '.join(command)}` failed: {(done.stdout + done.stderr).strip()[:1000]}")
