"""Moves bytes between the runner and the agent until the agent has ended or its time is over."""

import os
import select
import time

from runner.output import Head, Tail
from runner.process import Agent, kill_group, reap
from runner.spool import Spool
from runner.timeline import Timeline

_CHUNK_BYTES = 65_536
_USAGE_BYTES = 65_536
GRACE_SECONDS = 0.25
"""How long pipes may stay open after the agent's exit: a process it left behind can hold them for ever."""


class Ending:
    """How the agent ended. `exit_code` is negative for a signal; `said` is what it wrote to descriptor 3."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.timed_out = False
        self.said = b""


class Pump:
    """Feeds stdin, then closes it; drains stdout and stderr however much they hold."""

    def __init__(self, agent: Agent, prompt: bytes, spool: Spool, timeline: Timeline) -> None:
        self._agent, self._spool, self._timeline = agent, spool, timeline
        self._said = Head(_USAGE_BYTES)
        self._prompt = memoryview(prompt)
        self._sinks: dict[int, Head | Tail] = {agent.stdout: spool.stdout, agent.stderr: spool.stderr}
        self._poll = select.poll()
        self._poll.register(agent.pidfd, select.POLLIN)
        for pipe in (*self._sinks, agent.usage):
            self._poll.register(pipe, select.POLLIN)
        self._open = {agent.stdin, agent.stdout, agent.stderr, agent.usage}
        self._feed()
        if agent.stdin in self._open:
            self._poll.register(agent.stdin, select.POLLOUT)

    def run(self, ends_at: float, *, keeps_processes: bool = False) -> Ending:
        """Return once the agent and its pipes are done; kill its group at `ends_at` (monotonic seconds).

        What it started and left behind is ended with it, unless a session keeps the processes.
        """
        ending, exited = Ending(), False
        while not (exited and not self._open & self._sinks.keys()):
            left = ends_at - time.monotonic()
            if left <= 0:
                if exited or ending.timed_out:
                    break
                ending.timed_out = True
                self._timeline.note("limit_reached")
                kill_group(self._agent)
                ends_at = time.monotonic() + GRACE_SECONDS
                continue
            if self._turn(self._spool.due_in(left)) and not exited:
                exited = True
                self._timeline.note("agent_exited")
                self._poll.unregister(self._agent.pidfd)
                ends_at = time.monotonic() + GRACE_SECONDS
        if ending.timed_out or not keeps_processes:
            kill_group(self._agent)
        ending.exit_code = reap(self._agent)
        ending.said = self._rest_of_said()
        return ending

    def _turn(self, seconds: float) -> bool:
        """Wait for one turn of events; tell whether the agent exited."""
        exited = False
        events = self._poll.poll(max(0.0, seconds) * 1000 + 1)
        self._spool.look()
        for pipe, _ in events:
            if pipe == self._agent.pidfd:
                exited = True
            elif pipe == self._agent.stdin:
                self._feed()
            elif pipe == self._agent.usage:
                self._listen()
            else:
                self._drain(pipe)
        return exited

    def _feed(self) -> None:
        try:
            while self._prompt:
                self._prompt = self._prompt[os.write(self._agent.stdin, self._prompt[:_CHUNK_BYTES]) :]
            self._timeline.note("stdin_closed")
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._timeline.note("stdin_refused")  # It does not want to read its prompt; that is its right.
        self._close(self._agent.stdin)

    def _drain(self, pipe: int) -> None:
        try:
            chunk = os.read(pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if chunk:
            self._spool.add(self._sinks[pipe], chunk)
            self._sinks[pipe].add(chunk)
            if self._sinks[pipe].truncated:
                self._timeline.note("stdout_full" if pipe == self._agent.stdout else "stderr_full")
        else:
            self._close(pipe)

    def _listen(self) -> bool:
        """Take in what is said on descriptor 3, tell whether there was any; what is too much is let go of."""
        try:
            chunk = os.read(self._agent.usage, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close(self._agent.usage)
        self._said.add(chunk)
        return bool(chunk)

    def _rest_of_said(self) -> bytes:
        """Return all that was said; nobody waits for it who left the descriptor open to others."""
        while self._agent.usage in self._open and not self._said.truncated and self._listen():
            pass
        return self._said.kept()

    def _close(self, pipe: int) -> None:
        if pipe in self._open:
            self._open.discard(pipe)
            try:
                self._poll.unregister(pipe)
            except KeyError:
                pass  # stdin is registered only when the prompt does not fit at once.
            os.close(pipe)
