"""What stands between an agent's process and the sandbox it runs in: put on the thread that starts it."""

import resource
from dataclasses import dataclass

from local.sandboxes.engine import Privileges
from local.sandboxes.namespaces import syscalls
from local.sandboxes.namespaces.capabilities import drop_bounding_capabilities

_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID, _KILL, _SETGID, _SETUID, _SETPCAP = 0, 1, 3, 4, 5, 6, 7, 8
_NET_BIND_SERVICE = 10

SUDO_CAPABILITIES = frozenset(
    {_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID, _KILL, _SETGID, _SETUID, _NET_BIND_SERVICE}
)
"""What root of a sandbox with sudo may do, inside its own user namespace."""

ENVD_CAPABILITIES = SUDO_CAPABILITIES | {_SETPCAP}
"""What envd itself keeps: to act as any user of the sandbox, and to take capabilities from its children."""

ENVD_OOM_SCORE = 500
"""Above 0, so that a host out of memory loses a sandbox before anything of its own."""

AGENT_OOM_SCORE = 600
"""Higher than envd's, so that a sandbox out of memory loses the agent and envd lives to tell."""


@dataclass(frozen=True)
class Confinement:
    """How envd confines what it starts. Filters are BPF programs; all of them apply."""

    privileges: Privileges = "none"
    seccomp_filters: tuple[bytes, ...] = ()
    open_files: int = 65_536


def confine(confinement: Confinement) -> None:
    """Bind the calling thread and all that it will execute. Raises `OSError` if anything fails.

    It still has envd's identity: becoming another user afterwards empties the capability sets.
    The resource limits bind all threads of envd too.
    """
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files = min(confinement.open_files, highest)  # A host that allows less wins.
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if confinement.privileges == "sudo":
        # envd runs under the filters itself: only then can a process without no_new_privs inherit them.
        drop_bounding_capabilities(SUDO_CAPABILITIES)
        return
    drop_bounding_capabilities(frozenset())
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    for program in confinement.seccomp_filters:
        syscalls.install_seccomp(program)
