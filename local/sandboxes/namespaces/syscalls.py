"""The system calls that Python's standard library does not wrap."""

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from local.sandboxes.kernel_files import write_kernel_file

_libc = ctypes.CDLL(None, use_errno=True)
_libc_in_turn = ctypes.PyDLL(None, use_errno=True)  # Keeps Python's lock while it calls.

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SECBIT_NO_SETUID_FIXUP = 4
_SECCOMP_MODE_FILTER = 2

_CLONE_VM = 0x100
_STACK_BYTES = 16_384
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH, _MOUNT_ATTR_IDMAP = 1, 4, 0x0010_0000
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` names for fresh ones."""
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind `fd`."""
    _check(_libc.setns(fd, kind), f"setns {kind:#x}")


@contextmanager
def waiting_process(namespaces: int) -> Iterator[int]:
    """Run a process that only waits, in new `namespaces`, and give its id; it is killed with the block.

    It shares our memory and never runs Python, so that nothing is copied: a fork takes thirty times as long.
    """
    stack = ctypes.create_string_buffer(_STACK_BYTES)
    top = (ctypes.addressof(stack) + _STACK_BYTES) & ~0xF
    flags = namespaces | _CLONE_VM | signal.SIGCHLD
    pid = _libc.clone(ctypes.cast(_libc.pause, ctypes.c_void_p), ctypes.c_void_p(top), flags, None)
    _check(pid, f"clone {namespaces:#x}")
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system, as the manual page of its name in section 2 says."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*arguments), f"mount {kind} on {target}")


def unmount(target: str, flags: int = 0) -> None:
    """Do what umount2(2) does."""
    _check(_libc.umount2(target.encode(), flags), f"unmount {target}")


def clone_shifted(folder: str, user_namespace: int) -> int:
    """Return a descriptor of a copy of the mount at `folder` whose owners are mapped as in the namespace.

    What the namespace calls inside is the owner on disk, what it calls outside is the owner that is seen.
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    tree = int(_libc.syscall(ctypes.c_long(_OPEN_TREE), _AT_FDCWD, folder.encode(), flags))
    _check(tree, f"copy the mount of {folder}")
    attributes = _MountAttributes(_MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    size = ctypes.c_ulong(ctypes.sizeof(attributes))
    number = ctypes.c_long(_MOUNT_SETATTR)
    try:
        _check(
            _libc.syscall(number, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size),
            f"map the owners of {folder}",
        )
    except OSError:
        os.close(tree)
        raise
    return tree


def attach(tree: int, target: str) -> None:
    """Mount at `target` what `clone_shifted` returned, and close it."""
    number, flags = ctypes.c_long(_MOVE_MOUNT), _MOVE_MOUNT_F_EMPTY_PATH
    try:
        _check(_libc.syscall(number, tree, b"", _AT_FDCWD, target.encode(), flags), f"attach {target}")
    finally:
        os.close(tree)


def fork() -> int:
    """Fork a process with one thread, without what Python has every fork do.

    Its callbacks make locks and seeds anew, which only threads and shared random numbers need, and copy
    two hundred pages for that.
    """
    pid = int(_libc_in_turn.fork())
    _check(pid, "fork")
    return pid


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of this mount namespace and put the one before at `put_old`."""
    number = _PIVOT_ROOT[platform.machine()]
    _check(_libc.syscall(ctypes.c_long(number), new_root.encode(), put_old.encode()), "pivot_root")


def prctl(option: int, argument: int = 0) -> None:
    """Set something of this thread or process, as the manual page in section 2 says."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero), f"prctl {option}")


def rename_process(name: str) -> None:
    """Show `name` as this process's command and command line."""
    stat = os.open("/proc/self/stat", os.O_RDONLY)
    fields = os.read(stat, 4096).rpartition(b")")[2].split()
    os.close(stat)
    start, end = int(fields[45]), int(fields[46])  # Of the arguments in memory, the 48th and 49th of proc(5).
    ctypes.memmove(start, name.encode().ljust(end - start, b"\0"), end - start)
    write_kernel_file("/proc/self/comm", name)


def install_seccomp(program: bytes) -> None:
    """Put this process and its children under a BPF filter. Filters add up: the strictest answer counts."""
    instructions = _FilterProgram(len(program) // 8, program)
    zero = ctypes.c_ulong(0)
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    _check(
        _libc.prctl(PR_SET_SECCOMP, mode, ctypes.byref(instructions), zero, zero), "install seccomp filter"
    )
