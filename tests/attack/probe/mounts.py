"""Attempts to change what the sandbox sees of the file system: mounts, roots, and what masks /proc."""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from . import kernel
from .attempts import attempt, first_success
from .targets import Target

_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_PRIVATE, _MS_REC = 1, 32, 4096, 1 << 18, 16384
_MNT_DETACH = 2
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_CLONE_NEWNS = 0x00020000
_AT_RECURSIVE = 0x8000


@contextmanager
def _own_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="attack-mount-", ignore_cleanup_errors=True) as folder:
        try:
            yield folder
        finally:
            with suppress(OSError):
                kernel.call("umount2", folder, _MNT_DETACH)


def _mount(kind: str, flags: int = 0, source: str = "none") -> str:
    with _own_folder() as folder:
        kernel.call("mount", source, folder, kind, flags, 0)
    return f"mounted {kind or source}"


@attempt("EPERM", weakness="root")
def mount_tmpfs(target: Target) -> str:  # noqa: ARG001
    """Mount a file system in memory, past the disk's limit."""
    return _mount("tmpfs")


@attempt("EPERM", weakness="root")
def mount_proc(target: Target) -> str:  # noqa: ARG001
    """Mount a /proc without masks."""
    return _mount("proc")


@attempt("EPERM", weakness="root")
def mount_cgroups(target: Target) -> str:  # noqa: ARG001
    """Mount the cgroup hierarchy, where limits and release agents lie."""
    return first_success(partial(_mount, kind) for kind in ("cgroup2", "cgroup"))


@attempt("EPERM", weakness="root")
def mount_sysfs(target: Target) -> str:  # noqa: ARG001
    """Mount the host's devices and drivers."""
    return _mount("sysfs")


@attempt("EPERM", weakness="root")
def bind_a_folder(target: Target) -> str:  # noqa: ARG001
    """Show a folder in a second place."""
    return _mount("", _MS_BIND, "/etc")


@attempt("EPERM", weakness="root")
def remount_writable(target: Target) -> str:  # noqa: ARG001
    """Take the write protection off /proc/sys, or off any mount that has one."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    guarded = [line.split()[1] for line in lines if "ro" in line.split()[3].split(",")]
    return first_success(partial(_remount, path) for path in ["/proc/sys", *guarded])


def _remount(path: str) -> str:
    kernel.call("mount", "none", path, 0, _MS_REMOUNT | _MS_BIND, 0)
    kernel.call("mount", "none", path, 0, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, 0)
    return f"made {path} writable"


@attempt("EPERM", weakness="root")
def change_mount_propagation(target: Target) -> str:  # noqa: ARG001
    """Change how mounts spread between the sandbox and others."""
    kernel.call("mount", "none", "/", 0, _MS_PRIVATE | _MS_REC, 0)
    return "changed the root's propagation"


@attempt("EPERM", weakness="root")
def unmount_a_mask(target: Target) -> str:  # noqa: ARG001
    """Take away what hides a file of /proc, and put it back."""
    masks = ("/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list")
    return first_success(partial(_unmount, path) for path in masks)


def _unmount(path: str) -> str:
    kernel.call("umount2", path, _MNT_DETACH)
    kernel.call("mount", "/dev/null", path, 0, _MS_BIND, 0)
    return f"unmounted {path}"


@attempt("EPERM", "ENOSYS", weakness="root")
def mount_by_descriptor(target: Target) -> str:  # noqa: ARG001
    """Make a file system with the newer calls, which older filters do not know."""
    context = kernel.call("fsopen", "tmpfs", 0)
    try:
        kernel.call("fsconfig", context, 6, 0, 0, 0)
        kernel.drop(kernel.call("fsmount", context, 0, 0))
    finally:
        kernel.drop(context)
    return "made a detached tmpfs"


@attempt("EPERM", "ENOSYS", weakness="root")
def clone_a_mount_tree(target: Target) -> str:  # noqa: ARG001
    """Copy the tree of mounts into a descriptor."""
    kernel.drop(kernel.call("open_tree", _AT_FDCWD, "/", _OPEN_TREE_CLONE | _AT_RECURSIVE))
    return "cloned the mount tree"


@attempt("EPERM", "ENOSYS", weakness="root")
def change_mount_attributes(target: Target) -> str:  # noqa: ARG001
    """Change how a mount spreads with the newer call, which older filters do not know."""
    attributes = struct.pack("QQQQ", 0, 0, _MS_PRIVATE, 0)
    kernel.call("mount_setattr", _AT_FDCWD, "/", 0, attributes, len(attributes))
    return "changed the root's attributes"


@attempt("EPERM", weakness="root")
def pivot_to_another_root(target: Target) -> str:  # noqa: ARG001
    """Swap the root, which detaches every mask below the former one."""
    with _own_folder() as folder:
        # Where these two work, the swap happens in a copy of the mounts that ends with this process.
        with suppress(OSError):
            kernel.call("unshare", _CLONE_NEWNS)
            kernel.call("mount", "none", folder, "tmpfs", 0, 0)
            (Path(folder) / "old").mkdir()
        kernel.call("pivot_root", folder, f"{folder}/old")
        os.chdir("/")
    return "pivoted"


@attempt("EPERM", weakness="root")
def climb_out_of_a_chroot(target: Target) -> str:  # noqa: ARG001
    """Set a root below the working directory, the classic way to climb above it."""
    with _own_folder() as folder:
        kernel.call("chroot", folder)
        for _ in range(64):
            os.chdir("..")
        kernel.call("chroot", ".")
    return "changed the root"
