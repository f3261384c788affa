"""The zygote: a small process that has imported all that a sandbox runs, and forks jails for the server.

It has one thread, holds no secret of any sandbox and ends with the server. A fork of it shares
its memory and is ready in a millisecond, where a new interpreter would need hundreds.
"""

import asyncio
import gc
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from local.sandboxes.namespaces import syscalls
from local.sandboxes.namespaces.capabilities import all_capabilities
from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.namespaces.jail import MAX_MESSAGE, GuestCode, begin_jail, run_jail
from local.sandboxes.namespaces.plans import Plan
from local.sandboxes.namespaces.seccomp import agent_filters

STARTED = b"started"
_WARM_UPS = 20


@dataclass(frozen=True)
class Zygote:
    """The process's lasting descriptors and what every jail gets."""

    server: socket.socket
    own_namespace: int
    guest: GuestCode
    jails: set[int] = field(default_factory=set)
    """The pidfds of those that live."""

    def run(self) -> NoReturn:
        """Fork a jail for each message until the server goes away, then end them all."""
        ready = select.poll()
        ready.register(self.server, select.POLLIN)
        self.server.send(STARTED)
        while True:
            for fd, _ in ready.poll():
                if fd != self.server.fileno():
                    ready.unregister(fd)
                    self.jails.remove(fd)
                    os.close(fd)
                elif pidfd := self._answer_if_there():
                    ready.register(pidfd, select.POLLIN)
                else:
                    self._kill_all()

    def _answer_if_there(self) -> int | None:
        """Answer the server; none when it is gone, be it in the middle of its question or of our answer."""
        try:
            return self._answer()
        except ConnectionError:
            return None

    def _answer(self) -> int | None:
        """Fork one jail and return its pidfd; none when the server is gone.

        A message is a plan with two descriptors: the jail's end of its control socket and the
        listening socket of its envd. The answer is the jail's pid with its pidfd.
        """
        message, fds, _, _ = socket.recv_fds(self.server, MAX_MESSAGE, 2)
        if not message:
            return None
        pid = self._fork(Plan.load(message), fds)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self.jails.add(pidfd)
        socket.send_fds(self.server, [str(pid).encode()], [pidfd])
        return pidfd

    def _kill_all(self) -> NoReturn:
        # Not left to PR_SET_PDEATHSIG: the kernel drops it when envd acts as another user.
        for pidfd in self.jails:
            # One that has ended by itself must not save the others.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        sys.exit(0)

    def _fork(self, plan: Plan, fds: list[int]) -> int:
        # Without going back first, the kernel refuses to make the next process namespace.
        syscalls.setns(self.own_namespace, syscalls.CLONE_NEWPID)
        syscalls.unshare(syscalls.CLONE_NEWPID)
        pid = syscalls.fork()
        if pid == 0:
            try:
                control, listener = (socket.socket(fileno=fd) for fd in fds)
                begin_jail(control, listener)
                run_jail(plan, control, listener, self.guest)
            finally:
                os._exit(0)  # Never back into the zygote's code, whatever went wrong.
        return pid


def main(server_fd: int, daemon_name: str) -> NoReturn:
    """Serve the server at the other end of `server_fd`; jails run the module `daemon_name`."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel buries jails; the server watches their pidfds.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the server, which decides.
    daemon = importlib.import_module(daemon_name)
    # Remembered here, these are known to every jail.
    find_cgroup("castari")
    all_capabilities()
    guest = GuestCode(daemon.serve, agent_filters())
    own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
    zygote = Zygote(socket.socket(fileno=server_fd), own_namespace, guest)
    # Code that has run a few times is specialised; done here, it is shared instead of done in each jail.
    for _ in range(_WARM_UPS):
        asyncio.run(daemon.warm_up())
        daemon.warm_up_processes()
    gc.collect()
    gc.freeze()  # Objects out of the collector's sight leave their pages shared with every jail.
    zygote.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[3])  # The second is the instance: it tells whose this process is.
