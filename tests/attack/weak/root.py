"""Builds what the agent in a weak sandbox sees: programs, and stand-ins for all that is dangerous.

Nothing of the host is shown but its programs, /dev/null, /dev/zero and /dev/urandom.
"""

import shutil
import socket
from pathlib import Path

from tests.attack.probe import kernel
from tests.attack.weak.plan import Plan

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
_PROGRAMS = ("/usr", "/lib", "/lib64", "/bin", "/sbin")
_FOLDERS = (
    "proc",
    "tmp",
    "dev/pts",
    "dev/shm",
    "etc",
    "run",
    "home/user",
    "opt/stand-in",
    "opt/overlay",
    "mnt/open/proc",
    "mnt/open/sys",
)
_OPEN_FOLDERS = ("tmp", "dev/shm", "home/user")
_DEVICES = ("stand-in-disk", "vda", "mem", "kvm", "console", "kmsg")
KERNEL_FILES = "/opt/stand-in/proc"
"""Where the weak sandbox keeps what plays the kernel's own files: not every kernel has each of them."""

_KERNEL_FILES = (
    "kcore",
    "keys",
    "kallsyms",
    "kmsg",
    "self/autogroup",
    "self/oom_score_adj",
    "cmdline",
    "sys/fs/binfmt_misc/register",
    "sys/kernel/core_pattern",
    "sys/kernel/hostname",
    "sys/kernel/modprobe",
    "sysrq-trigger",
    "timer_list",
)
_SYSFS_FILES = (
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/release_agent",
    "/sys/kernel/profiling",
    "/sys/kernel/uevent_helper",
)
_LOADED_FILES = ("/etc/passwd", "/etc/ld.so.preload")
"""Files through which one who may write them becomes everybody. Empty: programs inside do read them."""

_SYMBOL = "ffffffff81000000 T stand_in\n"


def mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, or raise `OSError`."""
    try:
        kernel.call("mount", source, str(target), kind, flags, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def bind(source: str, target: Path) -> None:
    """Show a file or folder at a second place."""
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.touch()
    mount(source, target, flags=MS_BIND)


def build_roots(plan: Plan) -> tuple[Path, Path]:
    """Build the agent's root and, for process 1, one that plays the host's."""
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)
    mount("stand-in", Path(plan.place), "tmpfs", data="mode=755")
    agents, hosts = Path(plan.place, "agent"), Path(plan.place, "host")
    for root in (agents, hosts):
        root.mkdir()
        _show_programs(root)
        _write(root, plan.host_file, "stand-in\n")
    for name in _FOLDERS:
        (agents / name).mkdir(parents=True, exist_ok=True)
    for name in _OPEN_FOLDERS:
        (agents / name).chmod(0o777)
    for name in _SYSFS_FILES:
        _write(agents, name, "stand-in\n")
    for name in _LOADED_FILES:
        _write(agents, name, "")
    for name in _KERNEL_FILES:
        _write(agents, f"{KERNEL_FILES}/{name}", _SYMBOL)
    _show_devices(agents)
    _leave_setuid_programs(agents)
    mount("overlay", agents / "opt/overlay", "overlay", data="lowerdir=/usr/bin:/usr/lib")
    shutil.copy(plan.probe, agents / "home/user/probe.pyz")
    return agents, hosts


def _write(root: Path, name: str, content: str, mode: int = 0o666) -> Path:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    return path


def _show_programs(root: Path) -> None:
    for name in _PROGRAMS:
        if Path(name).is_symlink():
            (root / name[1:]).symlink_to(Path(name).readlink())
        elif Path(name).exists():
            bind(name, root / name[1:])


def _show_devices(root: Path) -> None:
    for name in ("null", "zero", "urandom"):
        bind(f"/dev/{name}", root / "dev" / name)
    for name in _DEVICES:
        bind("/dev/zero", root / "dev" / name)
    mount("devpts", root / "dev/pts", "devpts", data="newinstance,ptmxmode=0666")
    (root / "dev/ptmx").symlink_to("pts/ptmx")


def _leave_setuid_programs(root: Path) -> None:
    sleep = root / "opt/stand-in/sleep"
    shutil.copyfile("/usr/bin/sleep", sleep)
    sleep.chmod(0o4755)
    _write(root, "opt/stand-in/sudo", "#!/bin/sh\necho 0\n", 0o755)


def build_proc(root: Path) -> None:
    """Show the sandbox's own processes, and mask one file as container runtimes do."""
    mount("proc", root / "proc", "proc")
    bind("/dev/null", root / "proc/timer_list")
    # The kernel lets a sandbox mount these only where an unmasked one is in sight already.
    mount("proc", root / "mnt/open/proc", "proc")
    mount("sysfs", root / "mnt/open/sys", "sysfs")


def leave_sockets(root: Path, name: str) -> list[socket.socket]:
    """Listen on a Unix socket where the host's would be, and on an abstract one."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    listeners = []
    for address in (str(path), "\0castari-stand-in"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(8)
        listeners.append(listener)
    path.chmod(0o777)
    return listeners
