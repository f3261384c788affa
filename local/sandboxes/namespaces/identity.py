"""Who a jail is: its user namespace, made beforehand and entered last, and what it may still do there."""

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local.sandboxes.kernel_files import write_kernel_file
from local.sandboxes.namespaces import syscalls
from local.sandboxes.namespaces.capabilities import drop_bounding_capabilities, limit_capabilities
from local.sandboxes.rootfs import FIRST_UID

_IDS = 65_536
_SLOTS = 32_768
"""Ranges of host ids above `FIRST_UID`'s, up to the highest id there is."""


@dataclass(frozen=True)
class Identity:
    """Who a sandbox will be, as descriptors of user namespaces in which nobody is yet.

    `own` is the one that it enters; `shift` maps the owners of files on disk, `FIRST_UID` and up, to
    the sandbox's host ids. Without it they are the same.
    """

    own: int
    shift: int | None


def first_uid_of(address: str) -> int:
    """Return the host id that is root of the sandbox with this address, and nobody else's while it lives.

    The kernel counts much by user: inotify instances, queued signals, descriptors on their way through
    sockets, pages in pipes. Were it one for all, a sandbox that uses these up would take them from others.
    """
    return FIRST_UID + _IDS * (1 + int(ipaddress.IPv4Address(address)) % _SLOTS)


def make_identity(proc: str, first_uid: int) -> Identity:
    """Make the user namespaces of a sandbox. `proc` is a proc file system of the own process namespace."""
    own = _make_user_namespace(proc, first_uid, f"0 {first_uid} {_IDS}")
    if first_uid == FIRST_UID:
        return Identity(own, None)
    return Identity(own, _make_user_namespace(proc, first_uid, _shift_to(first_uid)))


def _shift_to(first_uid: int) -> str:
    # The host's root is there as well: overlayfs makes its own files as whoever mounts it.
    return f"{FIRST_UID} {first_uid} {_IDS}\n0 0 1"


def can_shift(folders: Iterable[Path]) -> bool:
    """Tell whether the file systems of all folders can show other owners than they keep."""
    shift = _make_user_namespace("/proc", 0, _shift_to(FIRST_UID + _IDS))
    try:
        for folder in folders:
            os.close(syscalls.clone_shifted(str(folder), shift))
    except OSError:
        return False
    finally:
        os.close(shift)
    return True


def _make_user_namespace(proc: str, owner: int, mapping: str) -> int:
    # Its owner is whom the kernel charges for all that is counted in it: never the host's root.
    # Made with its capabilities kept: some hosts give a namespace made without them no power.
    syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)
    os.seteuid(owner)
    try:
        with syscalls.waiting_process(syscalls.CLONE_NEWUSER) as holder:
            os.seteuid(0)
            for kind in ("uid", "gid"):
                write_kernel_file(f"{proc}/{holder}/{kind}_map", mapping)
            return os.open(f"{proc}/{holder}/ns/user", os.O_RDONLY)
    finally:
        os.seteuid(0)
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, 0)


def become_root_of(namespace: int, capabilities: frozenset[int], filters: tuple[bytes, ...]) -> None:
    """Enter a user namespace for good, as its root with no more than `capabilities` and under `filters`.

    All other namespaces stay owned by the host's, so that not even every capability in this
    one gives power over them.
    """
    syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
    os.close(namespace)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    for program in filters:
        syscalls.install_seccomp(program)
    drop_bounding_capabilities(capabilities)
    limit_capabilities(capabilities)
    # Nobody may look into envd, and it must not outlive the zygote: becoming root reset both.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
