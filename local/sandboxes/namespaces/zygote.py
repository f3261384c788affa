"""The zygote: a small process that has imported all that a sandbox runs, and forks jails for the server.

It has one thread, holds no secret of any sandbox and ends with the server. A fork of it shares
its memory and is ready in a millisecond, where a new interpreter would need hundreds.
"""

import gc
import importlib
import os
import signal
import socket
import sys
from typing import NoReturn

from local.sandboxes.namespaces import syscalls
from local.sandboxes.namespaces.jail import MAX_MESSAGE, Serve, run_jail
from local.sandboxes.namespaces.plans import Plan
from local.sandboxes.namespaces.seccomp import agent_filters

STARTED = b"started"


def main(server_fd: int, serve_name: str) -> NoReturn:
    """Serve the server at the other end of `server_fd` until it goes away.

    Each message is a plan with two descriptors: the jail's end of its control socket and the
    listening socket of its envd. The answer is the jail's pid with its pidfd.
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    module, function = serve_name.split(":")
    serve: Serve = getattr(importlib.import_module(module), function)
    filters = agent_filters()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel buries jails; the server watches their pidfds.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the server, which decides.
    own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
    server = socket.socket(fileno=server_fd)
    gc.collect()
    gc.freeze()  # Objects out of the collector's sight leave their pages shared with every jail.
    server.send(STARTED)
    while True:
        message, fds, _, _ = socket.recv_fds(server, MAX_MESSAGE, 2)
        if not message:
            sys.exit(0)
        _fork_jail(server, own_namespace, Plan.load(message), fds, serve, filters)


def _fork_jail(
    server: socket.socket,
    namespace: int,
    plan: Plan,
    fds: list[int],
    serve: Serve,
    filters: tuple[bytes, ...],
) -> None:
    # Without going back first, the kernel refuses to make the next process namespace.
    syscalls.setns(namespace, syscalls.CLONE_NEWPID)
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        control, listener = (socket.socket(fileno=fd) for fd in fds)
        run_jail(plan, control, listener, serve, filters)
    pidfd = os.pidfd_open(pid)
    socket.send_fds(server, [str(pid).encode()], [pidfd])
    for fd in (*fds, pidfd):
        os.close(fd)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[3])  # The second is the instance: it tells whose this process is.
