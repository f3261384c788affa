"""Attempts to make or enter namespaces, where a process could regain rights."""

import ctypes
import os
import signal
import struct
from functools import partial

from . import kernel
from .attempts import attempt, first_success
from .targets import Target

_NEW = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_NEWUSER = 0x10000000


@attempt("EPERM", weakness="root")
def unshare_user_namespace(target: Target) -> str:  # noqa: ARG001
    """Become root of a new user namespace."""
    kernel.call("unshare", _NEWUSER)
    return "owns a user namespace"


@attempt("EPERM", weakness="root")
def unshare_other_namespaces(target: Target) -> str:  # noqa: ARG001
    """Get a mount, network, process or other namespace of one's own."""
    return first_success(partial(_unshare, name, flag) for name, flag in _NEW.items())


def _unshare(name: str, flag: int) -> str:
    kernel.call("unshare", flag)
    return f"owns a {name} namespace"


@attempt("EPERM", weakness="root")
def clone_into_user_namespace(target: Target) -> str:  # noqa: ARG001
    """Start a child that is root of a new user namespace."""
    return _clone(_NEWUSER)


@attempt("EPERM", weakness="root")
def clone_into_other_namespaces(target: Target) -> str:  # noqa: ARG001
    """Start a child in a mount, network, process or other namespace of its own."""
    return first_success(partial(_clone, flag) for flag in _NEW.values())


def _clone(flag: int) -> str:
    pid = kernel.call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return f"started a child with the flag {flag:#x}"


@attempt("EPERM", "ENOSYS", weakness="root")
def clone3_into_user_namespace(target: Target) -> str:  # noqa: ARG001
    """Start such a child with the newer call, whose flags a filter can not see."""
    arguments = ctypes.create_string_buffer(struct.pack("8Q", _NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
    pid = kernel.call("clone3", kernel.address(arguments), 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "started a child in a user namespace"


@attempt("EPERM", "EACCES", weakness="root")
def enter_namespaces_of_init(target: Target) -> str:  # noqa: ARG001
    """Join the namespaces of process 1."""
    descriptor = os.open("/proc/1/ns/uts", os.O_RDONLY)
    try:
        kernel.call("setns", descriptor, 0)
    finally:
        os.close(descriptor)
    return "joined a namespace of process 1"


@attempt("EPERM", "ENOSYS", weakness="root")
def enter_namespaces_by_pidfd(target: Target) -> str:  # noqa: ARG001
    """Join the namespaces of process 1 through a descriptor of that process."""
    descriptor = kernel.call("pidfd_open", 1, 0)
    try:
        kernel.call("setns", descriptor, _NEW["uts"])
    finally:
        kernel.drop(descriptor)
    return "joined a namespace of process 1"


@attempt("EPERM", weakness="root")
def enter_own_namespace(target: Target) -> str:  # noqa: ARG001
    """Join the namespace that one is already in: asks only whether the call is open at all."""
    descriptor = os.open("/proc/self/ns/uts", os.O_RDONLY)
    try:
        kernel.call("setns", descriptor, 0)
    finally:
        os.close(descriptor)
    return "setns is open"
