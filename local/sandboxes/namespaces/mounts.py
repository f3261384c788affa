"""The file systems of a sandbox: prepared aside, then moved into its root when its layers are known."""

import contextlib
import os
from pathlib import Path

from local.sandboxes.kernel_files import write_kernel_file
from local.sandboxes.namespaces import syscalls
from local.sandboxes.namespaces.cgroups import Cgroup
from local.sandboxes.namespaces.plans import Plan
from local.sandboxes.namespaces.syscalls import (
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)

_INERT = MS_NOSUID | MS_NODEV | MS_NOEXEC
_MOVED = ("proc", "dev", "sys", "run")
_TTY_GROUP = 5
_SHM_MB = 512
_MAX_TERMINALS = 256  # All sandboxes and the host share the kernel's few thousand.
_MAX_FILES = 16_384  # In each file system in memory, where every file costs the kernel a kilobyte.

# What runtimes for containers hide by custom, and what tells of the host's disks and boot.
_HIDDEN_FILES = (
    "cmdline", "config.gz", "diskstats", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys",
    "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "latency_stats", "mdstat", "modules", "partitions",
    "sched_debug", "slabinfo", "sysrq-trigger", "timer_list", "timer_stats", "vmallocinfo",
)  # fmt: skip
_HIDDEN_FOLDERS = ("acpi", "asound", "driver", "scsi", "tty")
_READ_ONLY_FOLDERS = ("bus", "fs", "irq", "sys")

_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_DEVICE_LINKS = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
}  # fmt: skip


def stage_file_systems(plan: Plan, cgroup: Cgroup) -> None:
    """Prepare a sandbox's file systems but its root on the plan's stage, in a new mount namespace."""
    syscalls.mount("", "/", flags=MS_REC | MS_PRIVATE)
    syscalls.mount("stage", plan.stage, "tmpfs", _INERT, "size=1m,mode=711")
    os.chdir(plan.stage)
    for name in ("root", *_MOVED):
        Path(name).mkdir()
    _stage_dev(plan.first_uid)
    _stage_proc()
    _stage_sys(cgroup, plan.first_uid)
    options = _owned(plan.first_uid, f"size=64m,nr_inodes={_MAX_FILES},mode=755")
    syscalls.mount("run", "run", "tmpfs", MS_NOSUID | MS_NODEV, options)
    write_kernel_file("run/resolv.conf", plan.resolv_conf)


def enter_root(layers: tuple[str, ...], subvolume: str, shift: int | None, *, set_uid: bool) -> None:
    """Put the layers and a writable one on top of each other and make that the root of everything.

    The current folder must be the stage. `shift` is the user namespace that maps the layers' owners, if
    they need it. Nothing else of the host is reachable afterwards.
    """
    writable, *below = _show(subvolume, *layers, shift=shift)
    # volatile: nobody needs a sandbox's disk after a power cut, so its fsync costs nothing.
    # redirect_dir: without it a folder of a lower layer cannot be renamed.
    folders = f"lowerdir={':'.join(below)},upperdir={writable}/upper,workdir={writable}/work"
    flags = MS_NODEV | (0 if set_uid else MS_NOSUID)
    syscalls.mount("sandbox", "root", "overlay", flags, f"{folders},redirect_dir=on,volatile")
    for name in _MOVED:
        syscalls.mount(name, f"root/{name}", flags=MS_MOVE)
    os.chdir("root")
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".", syscalls.MNT_DETACH)
    os.chdir("/")


def _show(*folders: str, shift: int | None) -> list[str]:
    """Show the folders on the stage: their names there are all that a sandbox reads in its mount table."""
    names = [f"layer{index}" for index in range(len(folders))]
    for name, folder in zip(names, folders, strict=True):
        Path(name).mkdir()
        if shift is None:
            syscalls.mount(folder, name, flags=MS_BIND)
        else:
            syscalls.attach(syscalls.clone_shifted(folder, shift), name)
    return names


def _stage_proc() -> None:
    syscalls.mount("proc", "proc", "proc", _INERT)
    for name in _READ_ONLY_FOLDERS:
        _bind(f"proc/{name}", f"proc/{name}", MS_RDONLY | _INERT)
    Path("hidden").mkdir()
    syscalls.mount("hidden", "hidden", "tmpfs", MS_RDONLY | _INERT, "size=0,mode=555")
    for source, names in (("hidden", _HIDDEN_FOLDERS), ("dev/null", _HIDDEN_FILES)):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # Not every kernel has each.
                syscalls.mount(source, f"proc/{name}", flags=MS_BIND)


def _stage_dev(root: int) -> None:
    syscalls.mount("dev", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, _owned(root, "size=64k,mode=755"))
    mask = os.umask(0)
    for name, numbers in _DEVICES.items():
        os.mknod(f"dev/{name}", 0o020666, os.makedev(*numbers))
    os.umask(mask)
    for name, target in _DEVICE_LINKS.items():
        Path("dev", name).symlink_to(target)
    for name in ("pts", "shm"):
        Path("dev", name).mkdir()
    options = f"newinstance,ptmxmode=0666,mode=0620,gid={root + _TTY_GROUP},max={_MAX_TERMINALS}"
    syscalls.mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, options)
    options = _owned(root, f"size={_SHM_MB}m,nr_inodes={_MAX_FILES},mode=1777")
    syscalls.mount("shm", "dev/shm", "tmpfs", _INERT, options)


def _stage_sys(cgroup: Cgroup, root: int) -> None:
    """Show no devices or kernel knobs, but its limits: Node.js and the JVM size their heaps by them."""
    syscalls.mount("sys", "sys", "tmpfs", _INERT, _owned(root, "size=64k,mode=755"))
    for kind, options, name in cgroup.bind_mounts():
        (target := Path("sys/fs/cgroup", name)).mkdir(parents=True)
        syscalls.mount("cgroup", str(target), kind, MS_RDONLY | _INERT, options)
    syscalls.mount("", "sys", flags=MS_REMOUNT | MS_BIND | MS_RDONLY | _INERT)


def _bind(source: str, target: str, flags: int) -> None:
    syscalls.mount(source, target, flags=MS_BIND | MS_REC)
    syscalls.mount("", target, flags=MS_REMOUNT | MS_BIND | flags)


def _owned(root: int, options: str) -> str:
    return f"{options},uid={root},gid={root}"
