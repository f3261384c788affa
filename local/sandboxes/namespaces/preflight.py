"""Tells whether this host can isolate sandboxes, and what to do where it cannot."""

import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.rootfs import HOST_PACKAGES

_COMMANDS = ("ip", "losetup", "mkfs.btrfs", "mount", "nft")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_FILE_SYSTEMS = ("overlay", "btrfs")
_ELSEWHERE = "use a virtual machine with Linux 6.1 or newer, or an E2B key"


def preflight() -> list[str]:
    """Return the problems of this host, each with its remedy; none when sandboxes can run."""
    if platform.system() != "Linux" or platform.machine() not in {"x86_64", "aarch64"}:
        return [f"Local sandboxes need Linux on x86_64 or arm64: {_ELSEWHERE}."]
    if os.geteuid() != 0:
        return ["Local sandboxes need root: run this with sudo, or use an E2B key."]
    checks: tuple[Callable[[], list[str]], ...] = (_commands, _namespaces, _file_systems, _cgroups, _devices)
    return [problem for check in checks for problem in check()]


def _commands() -> list[str]:
    missing = [command for command in _COMMANDS if not shutil.which(command)]
    install = f"apt-get install {' '.join(HOST_PACKAGES)}"
    return [f"Missing commands: {', '.join(missing)}: run `{install}`."] if missing else []


def _namespaces() -> list[str]:
    missing = [name for name in _NAMESPACES if not Path("/proc/self/ns", name).exists()]
    if missing:
        return [f"The kernel has no {', '.join(missing)} namespaces: {_ELSEWHERE}."]
    limit = Path("/proc/sys/user/max_user_namespaces")
    if limit.exists() and int(limit.read_text()) == 0:
        return ["User namespaces are switched off: run `sysctl -w user.max_user_namespaces=65536`."]
    return []


def _file_systems() -> list[str]:
    known = Path("/proc/filesystems").read_text().split()
    missing = [name for name in _FILE_SYSTEMS if name not in known and not _module_exists(name)]
    return [f"The kernel has no {', '.join(missing)}: {_ELSEWHERE}."] if missing else []


def _module_exists(name: str) -> bool:
    modules = Path("/lib/modules", platform.release(), "modules.dep")
    return modules.exists() and f"/{name}.ko" in modules.read_text()


def _cgroups() -> list[str]:
    try:
        find_cgroup("castari")
    except EngineError as error:
        return [str(error)]
    return []


def _devices() -> list[str]:
    if not Path("/dev/loop-control").exists():
        return [f"There is no /dev/loop-control, so no disk can be mounted: {_ELSEWHERE}."]
    return []
