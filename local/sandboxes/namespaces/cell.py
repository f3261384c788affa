"""One jail as the server holds it: prepared, claimed once, killed, and cleared away."""

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

from local.sandboxes.engine import DeathCause, EngineError
from local.sandboxes.namespaces.cgroups import Cgroup
from local.sandboxes.namespaces.jail import FAILED, MAX_MESSAGE, PREPARED, READY
from local.sandboxes.namespaces.plans import Claim, Plan, dump
from local.sandboxes.namespaces.terminal import open_terminal_of
from local.sandboxes.namespaces.zygote_client import Forked, JailDiedError, has_ended
from local.sandboxes.processes.service import Processes
from local.sandboxes.processes.streams import Terminal


@dataclass(eq=False)
class Cell:
    """A jail's process, sockets and control group. It is dead once `dead` is set, whatever ended it."""

    plan: Plan
    forked: Forked
    control: socket.socket
    envd_socket: Path
    cgroup: Cgroup
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    cause: DeathCause = "exited"
    processes: Processes | None = None
    """Of its clients, once it is claimed; the control socket is theirs then."""
    frozen: bool = False
    claimed: Claim | None = None
    """What it is a sandbox of, or becomes."""
    _killed: bool = False

    def watch(self) -> None:
        """Learn of its death from the running loop."""
        asyncio.get_running_loop().add_reader(self.forked.pidfd, self._on_death)

    async def prepared(self) -> None:
        """Wait until it has prepared itself. Raises `EngineError` with the reason if it could not."""
        await self._expect(PREPARED)

    @property
    def lives(self) -> bool:
        """Whether it lives, asked of the kernel: the loop learns of its death only when it looks."""
        return not self.dead.is_set() and not has_ended(self.forked.pidfd)

    async def claim(self, claim: Claim) -> None:
        """Make it a sandbox whose envd answers, unless it has settled on that already.

        Raises `EngineError` with the reason if it could not.
        """
        if claim == self.claimed:
            return
        self.claimed = claim
        try:
            self.control.send(dump(claim))
        except OSError as error:
            raise JailDiedError("the prepared sandbox died before it was used") from error
        await self._expect(READY)
        self.processes = Processes(self.control, self.plan.first_uid, self._open_terminal)

    def close(self) -> None:
        """Hang up."""
        if self.processes:
            self.processes.close()
        self.control.close()

    async def kill(self) -> None:
        """End all its processes: the kernel kills a process namespace with its first process."""
        self._killed = self._killed or not self.dead.is_set()
        self.end()
        await self.dead.wait()

    def end(self) -> None:
        """Begin to end all its processes, as if it had ended by itself."""
        if not self.dead.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.forked.pidfd, signal.SIGKILL)
            if self.frozen:  # Frozen by cgroup v1, a process does not even die.
                self.cgroup.set_frozen(False)

    async def _expect(self, wanted: bytes) -> None:
        try:
            answer = await asyncio.get_running_loop().sock_recv(self.control, MAX_MESSAGE)
        except OSError:
            answer = b""
        if not answer:
            raise JailDiedError("the sandbox could not be set up: it died")
        if answer != wanted:
            reason = answer.removeprefix(FAILED).decode(errors="replace")
            raise EngineError(f"the sandbox could not be set up: {reason}")

    def _open_terminal(self) -> Terminal:
        return open_terminal_of(self.forked)

    def _on_death(self) -> None:
        asyncio.get_running_loop().remove_reader(self.forked.pidfd)
        os.close(self.forked.pidfd)
        if self._killed:
            self.cause = "killed"
        elif self.cgroup.out_of_memory_kills():
            self.cause = "out_of_memory"
        self.dead.set()
