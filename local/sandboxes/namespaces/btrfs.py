"""Subvolumes, snapshots and quotas of btrfs by ioctl: a `btrfs` process would cost more than the work."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ARGUMENTS = 4096
_SUBVOLUME_CREATE = 0x5000_940E
_SUBVOLUME_DELETE = 0x5000_940F
_SNAPSHOT_CREATE = 0x5000_9417
_INODE_LOOKUP = 0xD000_9412
_QUOTA_CONTROL = 0xC010_9428
_QGROUP_CREATE = 0x4010_942A
_QGROUP_LIMIT = 0x8030_942B
_FILESYSTEM_INFO = 0x8400_941F
_QUOTA_ENABLE, _QUOTA_ENABLE_SIMPLE = 1, 4
_SNAPSHOT_READ_ONLY = 2
_LIMIT_REFERENCED = 1
_ROOT_INODE = 256


def create_subvolume(path: Path) -> None:
    """Create an empty subvolume."""
    with _opened(path.parent) as parent:
        fcntl.ioctl(parent, _SUBVOLUME_CREATE, _named(path.name))


def delete_subvolume(path: Path) -> None:
    """Delete a subvolume; the kernel frees its space in the background."""
    with _opened(path.parent) as parent:
        fcntl.ioctl(parent, _SUBVOLUME_DELETE, _named(path.name))


def snapshot_subvolume(source: Path, target: Path) -> None:
    """Make a read-only snapshot of the subvolume `source`, with all that was written to it so far."""
    with _opened(source) as subvolume, _opened(target.parent) as parent:
        header = struct.pack("=qQQ32x", subvolume, 0, _SNAPSHOT_READ_ONLY)
        fcntl.ioctl(parent, _SNAPSHOT_CREATE, _padded(header + target.name.encode()))


def enable_quotas(mount: Path) -> None:
    """Count and limit what each subvolume uses; cheaply where the kernel can (6.7 and newer)."""
    with _opened(mount) as root:
        try:
            fcntl.ioctl(root, _QUOTA_CONTROL, struct.pack("=QQ", _QUOTA_ENABLE_SIMPLE, 0))
        except OSError:
            fcntl.ioctl(root, _QUOTA_CONTROL, struct.pack("=QQ", _QUOTA_ENABLE, 0))


def limit_subvolume(path: Path, limit_bytes: int) -> None:
    """Let a subvolume hold at most so many bytes; writing more fails with EDQUOT."""
    with _opened(path) as subvolume:
        limits = struct.pack("=QQQQQQ", 0, _LIMIT_REFERENCED, limit_bytes, 0, 0, 0)
        fcntl.ioctl(subvolume, _QGROUP_LIMIT, limits)


def subvolume_id(path: Path) -> int:
    """Return the number of a subvolume, which is also that of its quota group."""
    with _opened(path) as subvolume:
        fcntl.ioctl(subvolume, _INODE_LOOKUP, answer := _padded(struct.pack("=QQ", 0, _ROOT_INODE)))
    number: int = struct.unpack_from("=Q", answer)[0]
    return number


def used_bytes(mount: Path, subvolume: int) -> int:
    """Return what a subvolume uses, as of the last commit of the file system (at most 30 s ago)."""
    with _opened(mount) as root:
        answer = fcntl.ioctl(root, _FILESYSTEM_INFO, bytes(1024))
    digits = answer[16:32].hex()
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return int(Path(f"/sys/fs/btrfs/{uuid}/qgroups/0_{subvolume}/referenced").read_text())


def _named(name: str) -> bytearray:
    return _padded(bytes(8) + name.encode())


def _padded(arguments: bytes) -> bytearray:
    # A bytearray, as ioctl() takes at most 1,024 bytes of anything immutable.
    return bytearray(arguments.ljust(_ARGUMENTS, b"\0"))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)
