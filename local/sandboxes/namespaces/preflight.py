"""Tells whether this host can isolate sandboxes, and what to do where it cannot."""

import importlib
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.sandboxes.debian import HOST_PACKAGES
from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.cgroups import find_cgroup

_COMMANDS = ("ip", "losetup", "mkfs.btrfs", "mount", "nft")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_FILE_SYSTEMS = ("overlay", "btrfs")
_AS_ROOT = "run this with sudo, as root of a virtual machine, or use an E2B key"
_ELSEWHERE = "use a virtual machine with Linux 6.1 or newer, or an E2B key"


@dataclass(frozen=True)
class Host:
    """What this program runs on, and as whom."""

    system: str = field(default_factory=platform.system)
    machine: str = field(default_factory=platform.machine)
    user_id: int = field(default_factory=lambda: os.geteuid() if hasattr(os, "geteuid") else -1)


def find_problems(host: Host | None = None) -> list[str]:
    """Return what keeps sandboxes from running here, each with its remedy; nothing when they can."""
    host = host or Host()
    if problems := find_system_problems(host):
        return problems
    if host.user_id != 0:
        return [f"Local sandboxes need root, as nobody else can isolate as strictly: {_AS_ROOT}."]
    checks: tuple[Callable[[], list[str]], ...] = (
        *(_commands, _libraries, _namespaces, _file_systems, _cgroups, _devices),
    )
    return [problem for check in checks for problem in check()]


def find_system_problems(host: Host | None = None) -> list[str]:
    """Return what keeps even a server without isolation from running here."""
    host = host or Host()
    if host.system != "Linux" or host.machine not in {"x86_64", "aarch64"}:
        found = f"this is {host.system} on {host.machine}"
        return [f"Local sandboxes need Linux on x86_64 or arm64, {found}: {_ELSEWHERE}."]
    return []


def _commands() -> list[str]:
    missing = [command for command in _COMMANDS if not shutil.which(command)]
    install = f"apt-get install {' '.join(HOST_PACKAGES)}"
    return [f"Missing commands: {', '.join(missing)}: run `{install}`."] if missing else []


def _libraries() -> list[str]:
    try:
        importlib.import_module("pyseccomp")  # It looks for libseccomp at once.
    except (ImportError, RuntimeError, OSError):
        return ["Missing libseccomp: run `apt-get install libseccomp2`."]
    return []


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
