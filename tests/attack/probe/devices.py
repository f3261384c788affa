"""Attempts to reach hardware and the kernel's own memory through device nodes."""

import fcntl
import os
import stat
import struct
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt
from .targets import Target

_TIOCSTI = 0x5412
_TIOCLINUX = 0x541C
_BLOCK = ("vda", "sda", "nvme0n1", "xvda", "loop0", "loop1", "dm-0", "zram0", "ram0", "sr0")
_MEMORY = ("mem", "kmem", "port")
_POWERFUL = (
    "kvm",
    "fuse",
    "net/tun",
    "vsock",
    "vhost-net",
    "userfaultfd",
    "loop-control",
    "btrfs-control",
    "autofs",
)
_CONSOLES = ("console", "tty0", "tty1", "ttyS0", "hvc0", "vcs", "vcsa")


def _open_device(names: tuple[str, ...]) -> str:
    refusal = OSError(2, "No such device node")
    for name in names:
        try:
            # Never O_RDWR, and O_NONBLOCK so that no terminal or drive makes the probe wait.
            os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
        except OSError as error:
            refusal = error
        else:
            return f"opened /dev/{name}"
    raise refusal


@attempt("ENOENT", "EACCES", weakness="user")
def open_block_device(target: Target) -> str:  # noqa: ARG001
    """Open a disk of the host."""
    return _open_device(_BLOCK)


@attempt("no block device", weakness="user")
def find_block_device(target: Target) -> str:  # noqa: ARG001
    """Search the whole of /dev for a node that stands for a disk, whatever its name."""
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or not _is_disk(path):
                continue
            return f"found {path}"
    raise Refused("no block device")


def _is_disk(path: Path) -> bool:
    # The stand-in of the weakened sandbox can not be a real disk: it says so in its name.
    return stat.S_ISBLK(path.stat().st_mode) or path.name.startswith("stand-in-disk")


@attempt("ENOENT", "EACCES", weakness="user")
def open_memory_device(target: Target) -> str:  # noqa: ARG001
    """Open physical memory, kernel memory or the I/O ports."""
    return _open_device(_MEMORY)


@attempt("ENOENT", "EACCES", weakness="user")
def open_powerful_device(target: Target) -> str:  # noqa: ARG001
    """Open a node behind which much of the kernel lies: virtual machines, FUSE, tunnels, vsock."""
    return _open_device(_POWERFUL)


@attempt("ENOENT", "EACCES", "ENXIO", weakness="user")
def open_host_console(target: Target) -> str:  # noqa: ARG001
    """Open a terminal of the host."""
    return _open_device(_CONSOLES)


@attempt("ENOENT", "EACCES", weakness="user")
def open_kernel_log_device(target: Target) -> str:  # noqa: ARG001
    """Open /dev/kmsg, which holds the host's messages and takes forged ones."""
    return _open_device(("kmsg",))


@attempt("EPERM", weakness="lenient_kernel")
def make_character_device(target: Target) -> str:  # noqa: ARG001
    """Make a node for physical memory in an own folder."""
    return _make_node(stat.S_IFCHR, os.makedev(1, 1))


@attempt("EPERM", weakness="lenient_kernel")
def make_block_device(target: Target) -> str:  # noqa: ARG001
    """Make a node for the host's first disk in an own folder."""
    return _make_node(stat.S_IFBLK, os.makedev(254, 0))


def _make_node(kind: int, device: int) -> str:
    path = Path.home() / "attack-node"
    try:
        kernel.call("mknodat", -100, str(path), kind | 0o600, device)
    finally:
        path.unlink(missing_ok=True)
    return f"made node {os.major(device)}:{os.minor(device)}"


@attempt("EPERM", "EACCES", "EIO", weakness="lenient_kernel")
def push_input_into_terminal(target: Target) -> str:  # noqa: ARG001
    """Type a character into a terminal of one's own, as a way to type into whoever shares it."""
    parent, child = os.openpty()
    try:
        fcntl.ioctl(child, _TIOCSTI, b"x")
    finally:
        os.close(parent)
        os.close(child)
    return "pushed a character"


@attempt("EPERM", weakness="lenient_kernel")
def paste_with_console_selection(target: Target) -> str:  # noqa: ARG001
    """Ask for the virtual console's selection calls, which can type into the host's console."""
    parent, child = os.openpty()
    try:
        fcntl.ioctl(child, _TIOCLINUX, struct.pack("B", 6) + bytes(16))
    finally:
        os.close(parent)
        os.close(child)
    return "reached the console's selection"
