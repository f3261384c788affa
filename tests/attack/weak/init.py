"""Turns itself into a weak sandbox and runs the agent in it. Started by `jail.py` as root.

Every namespace it enters belongs to a user namespace whose users are nobody on the host.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from tests.attack.probe import kernel
from tests.attack.weak import lenient
from tests.attack.weak.plan import AGENT_ID, HOST_ID, Plan
from tests.attack.weak.root import MS_BIND, MS_REC, build_proc, build_roots, leave_sockets, mount

_CLONE_NEWNS = 0x00020000
_CLONE_EVERYTHING = 0x7E020000
"""Mount, cgroup, UTS, IPC, user, PID and network namespaces."""
_PR_SET_PDEATHSIG = 1
_MNT_DETACH = 2
_PROCESS_1 = "trap : TERM; sleep 600; :"
_ENVIRONMENT = {
    "PATH": "/usr/bin:/usr/sbin:/bin:/sbin:/opt/stand-in",
    "HOME": "/home/user",
}


def leave_host() -> None:
    """Give up being the host's root, then own new namespaces and be root of them alone."""
    # First a nobody: the kernel charges what it counts for a user namespace to the namespace's maker.
    os.setgroups([])
    os.setresgid(HOST_ID, HOST_ID, HOST_ID)
    os.setresuid(HOST_ID, HOST_ID, HOST_ID)
    kernel.call("unshare", _CLONE_EVERYTHING)
    tell_parent("unshared")
    hear_parent("mapped")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    _die_with_parent()


def tell_parent(word: str) -> None:
    """Say a word to `jail.py`."""
    os.write(sys.stdout.fileno(), word.encode() + b"\n")


def hear_parent(word: str) -> None:
    """Wait for a word of `jail.py`'s; end if it is gone."""
    heard = b""
    while not heard.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            sys.exit(1)
        heard += byte
    if heard.strip() != word.encode():
        sys.exit(f"heard {heard!r} instead of {word}")


def _die_with_parent() -> None:
    kernel.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start_process_1(hosts: Path) -> None:
    """Start the first process of the sandbox, which plays both the host and envd."""
    gone, executing = os.pipe()
    if os.fork() == 0:
        _die_with_parent()
        os.chroot(hosts)
        os.chdir("/")
        os.set_inheritable(os.open("/", os.O_RDONLY), True)
        os.execve("/bin/sh", ["sh", "-c", _PROCESS_1], {"SECRET": "stand-in"})  # noqa: S606
    os.close(executing)
    os.read(gone, 1)  # nothing comes: the other end closes when the program has been executed
    os.close(gone)


def become_agent(plan: Plan, agents: Path) -> NoReturn:
    """Enter the agent's root as who the plan says, and execute its command."""
    _die_with_parent()
    kernel.call("unshare", _CLONE_NEWNS)
    mount(str(agents), agents, flags=MS_BIND | MS_REC)
    build_proc(agents)
    _move_root(agents)
    os.chdir("/home/user")
    if plan.weakness == "lenient_kernel":
        lenient.install()
    if plan.weakness == "user":
        os.set_inheritable(os.open("/", os.O_RDONLY), True)
        os.setresgid(AGENT_ID, AGENT_ID, AGENT_ID)
        os.setresuid(AGENT_ID, AGENT_ID, AGENT_ID)
        _die_with_parent()
    os.execve(plan.command[0], plan.command, _ENVIRONMENT)  # noqa: S606 - no shell is the point


def _move_root(root: Path) -> None:
    # Not chroot: the kernel lets nobody make a user namespace from inside one.
    os.chdir(root)
    kernel.call("pivot_root", ".", ".")
    kernel.call("umount2", ".", _MNT_DETACH)
    os.chdir("/")


def main(plan: Plan) -> int:
    """Build, run, and return the agent's exit code."""
    leave_host()
    agents, hosts = build_roots(plan)
    listeners = leave_sockets(agents, plan.host_socket)
    start_process_1(hosts)
    agent = os.fork()
    if agent == 0:
        become_agent(plan, agents)
    _, status = os.waitpid(agent, 0)
    for listener in listeners:
        listener.close()
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(Plan.from_json(sys.argv[1])))
