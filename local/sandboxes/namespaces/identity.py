"""Who a jail is: its user namespace, made beforehand and entered last, and what it may still do there."""

import ipaddress
import os
from pathlib import Path

from local.sandboxes.namespaces import syscalls
from local.sandboxes.rootfs import FIRST_UID

_IDS = 65_536
_FIRST_OWNER = 2_100_000_000
_ADDRESSES = 1 << 22


def make_user_namespace(proc: str, owner: int) -> int:
    """Return a descriptor of a new user namespace that nobody is in yet; its root is `FIRST_UID` outside.

    `proc` is a proc file system of the caller's own process namespace, `owner` the host id that the
    kernel charges with what it counts for each user: inotify instances, queued signals and the like.
    Were it one for all, a sandbox that uses these up would take them from the others and from the host.
    """
    # Made with its capabilities kept: some hosts give a namespace made without them no power.
    syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)
    os.seteuid(owner)
    with syscalls.waiting_process(syscalls.CLONE_NEWUSER) as holder:
        os.seteuid(0)
        for kind in ("uid", "gid"):
            Path(proc, str(holder), f"{kind}_map").write_text(f"0 {FIRST_UID} {_IDS}")
        return os.open(f"{proc}/{holder}/ns/user", os.O_RDONLY)


def owner_of(address: str) -> int:
    """Return the host id that owns the sandbox with this address: nobody else's while it lives."""
    return _FIRST_OWNER + int(ipaddress.IPv4Address(address)) % _ADDRESSES


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
    syscalls.drop_bounding_capabilities(capabilities)
    syscalls.limit_capabilities(capabilities)
    # Nobody may look into envd, and it must not outlive the zygote: becoming root reset both.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
