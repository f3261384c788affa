"""Attempts on kernel interfaces that most sandbox escapes of the past years went through."""

import ctypes
import errno
import mmap
import os
import platform
import struct
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt
from .targets import Target

_PERF_SOFTWARE_DUMMY = 9
_ADJ_TICK = 0x4000
_UFFD_USER_MODE_ONLY = 1
_RESTART_WITHOUT_MAGIC = 0x1234567


@attempt("EPERM", "ENOSYS", weakness="lenient_kernel")
def load_module(target: Target) -> str:  # noqa: ARG001
    """Hand the kernel a module: an empty one, which no kernel would link."""
    kernel.call("init_module", b"\x00" * 8, 8, b"")
    return "the kernel took a module"


@attempt("EPERM", "ENOSYS", weakness="lenient_kernel")
def load_module_from_file(target: Target) -> str:  # noqa: ARG001
    """Hand the kernel a module as a file: /dev/null, which is none."""
    with Path("/dev/null").open("rb") as nothing:
        kernel.call("finit_module", nothing.fileno(), b"", 0)
    return "the kernel took a module"


@attempt("EPERM", "ENOSYS", weakness="lenient_kernel")
def unload_module(target: Target) -> str:  # noqa: ARG001
    """Remove a module of a name that none has."""
    kernel.call("delete_module", "castari_attack_none", os.O_NONBLOCK)
    return "the kernel looked for the module"


@attempt("EPERM", "ENOSYS", weakness="lenient_kernel")
def load_another_kernel(target: Target) -> str:  # noqa: ARG001
    """Stage another kernel: one of no segments, which could never be started."""
    kernel.call("kexec_load", 0, 0, 0, 0)
    return "the kernel took a successor"


@attempt("EPERM", weakness="root")
def reboot(target: Target) -> str:  # noqa: ARG001
    """Reboot, with a wrong magic number: the kernel asks for the right first, and then refuses."""
    try:
        kernel.call("reboot", 0, 0, _RESTART_WITHOUT_MAGIC, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the right was there, the magic was not
            raise
    return "may reboot"


@attempt("EPERM", weakness="lenient_kernel")
def create_bpf_map(target: Target) -> str:  # noqa: ARG001
    """Create a BPF array of one element."""
    attributes = ctypes.create_string_buffer(struct.pack("5I", 2, 4, 4, 1, 0), 128)
    kernel.drop(kernel.call("bpf", 0, kernel.address(attributes), 128))
    return "created a map"


@attempt("EPERM", weakness="lenient_kernel")
def load_bpf_program(target: Target) -> str:  # noqa: ARG001
    """Load a BPF program that returns 0."""
    code = ctypes.create_string_buffer(
        struct.pack("BBhi", 0xB7, 0, 0, 0) + struct.pack("BBhi", 0x95, 0, 0, 0)
    )
    licence = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("IIQQ", 1, 2, kernel.address(code), kernel.address(licence))
    attributes = ctypes.create_string_buffer(head, 128)
    kernel.drop(kernel.call("bpf", 5, kernel.address(attributes), 128))
    return "loaded a program"


@attempt("EPERM", "ENOSYS", weakness="root")
def make_userfaultfd(target: Target) -> str:  # noqa: ARG001
    """Handle page faults oneself, which stops the kernel at a moment of one's choice."""
    kernel.drop(kernel.call("userfaultfd", _UFFD_USER_MODE_ONLY))
    return "made a userfaultfd"


@attempt("EPERM", "ENOSYS", weakness="root")
def set_up_io_uring(target: Target) -> str:  # noqa: ARG001
    """Set up a ring, through which calls pass that no filter sees."""
    parameters = ctypes.create_string_buffer(120)
    kernel.drop(kernel.call("io_uring_setup", 1, kernel.address(parameters)))
    return "set up a ring"


@attempt("EPERM", "ENOSYS", weakness="root")
def add_key(target: Target) -> str:  # noqa: ARG001
    """Add a key to one's own process keyring, which ends with the process."""
    kernel.call("add_key", "user", "castari-attack", b"x", 1, -2)
    return "added a key"


@attempt("EPERM", "ENOSYS", weakness="root")
def read_session_keyring(target: Target) -> str:  # noqa: ARG001
    """Ask for the session keyring, which is not part of any namespace."""
    return f"keyring {kernel.call('keyctl', 0, -3, 1)}"


@attempt("EPERM", "ENOSYS", weakness="root")
def request_key(target: Target) -> str:  # noqa: ARG001
    """Ask the kernel to find a key, which may start a program as root. Its name is one that none has."""
    try:
        kernel.call("request_key", "user", "castari-attack-none", 0, 0)
    except OSError as error:
        if error.errno != errno.ENOKEY:
            raise
    return "the kernel looked for the key"


@attempt("EPERM", "EACCES", "ENOSYS", weakness="root")
def open_performance_counter(target: Target) -> str:  # noqa: ARG001
    """Count events, from which secrets of others can be guessed. The dummy event counts none."""
    flags = (1 << 5) | (1 << 6)  # without kernel, without hypervisor
    attributes = ctypes.create_string_buffer(
        struct.pack("IIQQQQQ", 1, 64, _PERF_SOFTWARE_DUMMY, 0, 0, 0, flags), 64
    )
    kernel.drop(kernel.call("perf_event_open", kernel.address(attributes), 0, -1, -1, 0))
    return "opened a counter"


@attempt("EPERM", weakness="root")
def watch_all_files(target: Target) -> str:  # noqa: ARG001
    """Watch whole file systems with fanotify."""
    kernel.drop(kernel.call("fanotify_init", 0x00000200, 0))
    return "made a fanotify group"


@attempt("EPERM", weakness="lenient_kernel")
def read_kernel_log(target: Target) -> str:  # noqa: ARG001
    """Ask for the size of the kernel's log."""
    return f"log of {kernel.call('syslog', 10, 0, 0)} bytes"


@attempt("EPERM", weakness="lenient_kernel")
def add_swap(target: Target) -> str:  # noqa: ARG001
    """Swap to a path that does not exist."""
    kernel.call("swapon", "/castari-attack-none", 0)
    return "the kernel looked for the swap file"


@attempt("EPERM", weakness="lenient_kernel")
def stop_swap(target: Target) -> str:  # noqa: ARG001
    """Stop swapping to a path that does not exist."""
    kernel.call("swapoff", "/castari-attack-none")
    return "the kernel looked for the swap file"


@attempt("EPERM", "ENOSYS", weakness="lenient_kernel")
def account_processes(target: Target) -> str:  # noqa: ARG001
    """Write a record of every process that ends, to a path that does not exist."""
    kernel.call("acct", "/castari-attack-none/x")
    return "the kernel looked for the file"


@attempt("EPERM", weakness="lenient_kernel")
def set_disk_quotas(target: Target) -> str:  # noqa: ARG001
    """Change the disk quotas of a device that does not exist."""
    kernel.call("quotactl", 0x800003 << 8, "/castari-attack-none", 0, 0)
    return "the kernel looked for the device"


@attempt("EPERM", weakness="lenient_kernel")
def set_clock(target: Target) -> str:  # noqa: ARG001
    """Set the clock's rate to nothing: the kernel asks for the right first, and then refuses the rate."""
    request = ctypes.create_string_buffer(struct.pack("I", _ADJ_TICK), 208)
    try:
        kernel.call("adjtimex", kernel.address(request))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return "may set the clock"


@attempt("EPERM", weakness="root")
def rename_host(target: Target) -> str:  # noqa: ARG001
    """Set the host's name, to the one that it has."""
    name = os.uname().nodename
    kernel.call("sethostname", name, len(name))
    return "set the host's name"


@attempt("SIGSYS", "SIGSEGV", "EPERM", "ENOSYS", "no such interface", weakness="root")
def call_as_32_bit_program(target: Target) -> str:  # noqa: ARG001
    """Call the kernel the way 32-bit programs do, where every call has another number."""
    if platform.machine() != "x86_64":
        raise Refused("no such interface")
    # mov eax, 20 (getpid); int 0x80; ret
    code = bytes((0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3))
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(code)
        start = ctypes.c_char.from_buffer(page)
        returned = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(start))()
        del start
    if returned < 0:
        raise OSError(-returned, os.strerror(-returned))
    return f"the kernel answered {returned}"


@attempt("EPERM", "ENOSYS", weakness="lenient_kernel")
def reach_io_ports(target: Target) -> str:  # noqa: ARG001
    """Ask for the right to drive hardware through its ports, and use none."""
    kernel.call("ioperm", 0x80, 1, 1)
    return "may use an I/O port"
