"""Attempts on the files through which root steers the whole kernel: /proc/sys, /sys, cgroups."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .attempts import Refused, attempt
from .targets import Target

_SYSCTLS = ("kernel/hostname", "vm/overcommit_memory", "fs/protected_symlinks", "kernel/randomize_va_space")


def _open_for_writing(*paths: str) -> str:
    """Open without writing a byte, and without truncating."""
    refusal: OSError | Refused = OSError(2, "No such file or directory")
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError as error:
            refusal = error
        else:
            return f"opened {path} for writing"
    raise refusal


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def write_core_pattern(target: Target) -> str:
    """Name a program that the host's kernel runs as root at the next crash."""
    return _open_for_writing(f"{target.kernel_files}/sys/kernel/core_pattern")


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def write_modprobe_path(target: Target) -> str:
    """Name a program that the host's kernel runs as root when it wants a module."""
    return _open_for_writing(f"{target.kernel_files}/sys/kernel/modprobe")


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def write_uevent_helper(target: Target) -> str:
    """Name a program that the host's kernel runs as root when a device appears."""
    return _open_for_writing("/sys/kernel/uevent_helper", f"{target.kernel_files}/sys/kernel/hotplug")


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def register_binary_format(target: Target) -> str:
    """Register an interpreter for binaries that the host executes."""
    return _open_for_writing(f"{target.kernel_files}/sys/fs/binfmt_misc/register")


@attempt("EROFS", "EACCES", weakness="user")
def write_sysctl(target: Target) -> str:
    """Change a setting of the whole kernel."""
    return _open_for_writing(*(f"{target.kernel_files}/sys/{name}" for name in _SYSCTLS))


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def write_sysrq_trigger(target: Target) -> str:
    """Open the file that crashes, reboots or unmounts the host."""
    return _open_for_writing(f"{target.kernel_files}/sysrq-trigger")


@attempt("EACCES", "EPERM", "ENOENT", "nothing in it", weakness="user")
def read_kernel_memory(target: Target) -> str:
    """Read the kernel's memory as a core file."""
    return _read_some(f"{target.kernel_files}/kcore")


@attempt("EACCES", "EPERM", "ENOENT", "nothing in it", weakness="user")
def read_kernel_messages(target: Target) -> str:
    """Read the host's kernel messages."""
    return _read_some(f"{target.kernel_files}/kmsg")


@attempt("EACCES", "ENOENT", "nothing in it", weakness="user")
def read_keys_of_others(target: Target) -> str:
    """List the keys that the kernel keeps."""
    return _read_some(f"{target.kernel_files}/keys", f"{target.kernel_files}/key-users")


@attempt("EACCES", "ENOENT", "nothing in it", weakness="user")
def read_host_tables(target: Target) -> str:
    """Read tables that tell one tenant what the host and the others do."""
    names = ("timer_list", "sched_debug", "latency_stats", "vmallocinfo", "iomem", "slabinfo")
    return _read_some(*(f"{target.kernel_files}/{name}" for name in names))


@attempt("EACCES", "ENOENT", "nothing in it", weakness="user")
def read_boot_arguments(target: Target) -> str:
    """Read the host's kernel command line, which may hold secrets of its provider."""
    return _read_some(f"{target.kernel_files}/cmdline")


def _read_some(*paths: str) -> str:
    refusal: OSError | Refused = Refused("nothing in it")
    for path in paths:
        try:
            content = _read_start(path)
        except OSError as error:
            refusal = error
            continue
        if content.strip(b"\0 \n"):
            return f"read {len(content)} bytes of {path}"
    raise refusal


def _read_start(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, 64)
    finally:
        os.close(descriptor)


@attempt("EACCES", "ENOENT", "addresses hidden", weakness="user")
def read_kernel_addresses(target: Target) -> str:
    """Learn where the kernel lies in memory, the first step of most exploits."""
    with Path(target.kernel_files, "kallsyms").open(encoding="ascii", errors="replace") as symbols:
        for line, _ in zip(symbols, range(50), strict=False):
            if line.split()[0].strip("0"):
                return f"read the address of {line.split()[2]}"
    raise Refused("addresses hidden")


def _cgroup_files(name: str) -> Iterator[str]:
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        if name in names:
            yield f"{folder}/{name}"


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def write_release_agent(target: Target) -> str:  # noqa: ARG001
    """Name a program that the host's kernel runs as root when a cgroup empties."""
    return _open_for_writing(*_cgroup_files("release_agent"))


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def leave_cgroup(target: Target) -> str:  # noqa: ARG001
    """Move to another cgroup, away from the limits."""
    return _open_for_writing(*_cgroup_files("cgroup.procs"), *_cgroup_files("tasks"))


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def raise_cgroup_limits(target: Target) -> str:  # noqa: ARG001
    """Write a larger limit."""
    names = ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.max", "cpu.cfs_quota_us")
    return _open_for_writing(*(path for name in names for path in _cgroup_files(name)))


@attempt("EROFS", "EACCES", "ENOENT", weakness="user")
def write_to_sysfs(target: Target) -> str:  # noqa: ARG001
    """Open any writable file of the host's devices and drivers."""
    found = []
    for folder in ("/sys/kernel", "/sys/module", "/sys/power", "/sys/bus", "/sys/firmware"):
        with suppress(OSError):
            found += [entry.path for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    return _open_for_writing(*found)


@attempt("EACCES", "EROFS", weakness="user")
def escape_oom_killer(target: Target) -> str:
    """Become immune, so that somebody else is killed when memory runs out. Undone at once."""
    path = Path(target.kernel_files, "self", "oom_score_adj")
    before = path.read_text(encoding="ascii")
    path.write_text("-1000", encoding="ascii")
    path.write_text(before, encoding="ascii")
    return f"lowered the score from {before.strip()}"
