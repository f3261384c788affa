"""Who a jail is: its user namespace, made beforehand and entered last, and what it may still do there."""

import os

from local.sandboxes.namespaces import syscalls
from local.sandboxes.rootfs import FIRST_UID

_IDS = 65_536


def make_user_namespace(proc: str) -> int:
    """Return a descriptor of a new user namespace that nobody is in yet; its root is `FIRST_UID` outside.

    `proc` is a proc file system of the caller's own process namespace.
    """
    made, making = os.pipe()
    finish, finished = os.pipe()
    holder = os.fork()
    if holder == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(making, b".")
            os.close(finished)
            os.read(finish, 1)
        finally:
            os._exit(0)
    os.close(making)
    os.read(made, 1)
    try:
        for kind in ("uid", "gid"):
            with open(f"{proc}/{holder}/{kind}_map", "w") as file:
                file.write(f"0 {FIRST_UID} {_IDS}")
        return os.open(f"{proc}/{holder}/ns/user", os.O_RDONLY)
    finally:
        for pipe_end in (made, finish, finished):
            os.close(pipe_end)
        os.waitpid(holder, 0)


def become_root_of(namespace: int, capabilities: frozenset[int]) -> None:
    """Enter a user namespace for good, as its root with no more than `capabilities`.

    All other namespaces stay owned by the host's, so that not even every capability in this
    one gives power over them.
    """
    syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
    os.close(namespace)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    syscalls.drop_bounding_capabilities(capabilities)
    syscalls.limit_capabilities(capabilities)
    # Nobody may look into envd, and it must not outlive the zygote: becoming root reset both.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
