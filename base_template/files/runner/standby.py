"""Waits in a warm sandbox for its one attempt; the runner and the agent's interpreter have booted by then.

The shell that starts the attempt hands it over: it writes its beginning and its environment into our pipe,
and is a relay then, of what we print. We could not take its output over: that belongs to whoever started it.
"""

from __future__ import annotations

import os

from runner import main as runner
from runner.early_start import EarlyAgent
from runner.process import read_command

_CALLS, _ANSWERS = 3, 5
_INHERITED = (3, 4, 5, 6)
_CHUNK_BYTES = 65_536


class Call:
    """An attempt that was handed over."""

    def __init__(self, began: int, environment: dict[str, str]) -> None:
        self.began, self.environment = began, environment


def main(run_file: str) -> int:
    """Wait for a call, then do for it what the runner does. Returns the exit status."""
    for fd in _INHERITED:
        os.set_inheritable(fd, False)
    early = _early_agent(run_file)
    runner.import_all()
    call = _receive()
    os.unlink(f"{os.path.dirname(run_file)}/standby")  # Nobody else is to be called.
    os.dup2(_ANSWERS, 1)
    for fd in _INHERITED:
        os.close(fd)
    os.environ.clear()
    os.environ.update(call.environment)
    begun = early.release() if early else None
    return runner.run(run_file, begun, began_at=call.began)


def _early_agent(run_file: str) -> EarlyAgent | None:
    """Return the agent's interpreter, started; none where that is not possible, or not yet known to be."""
    try:
        return EarlyAgent.start(*read_command(run_file))
    except (OSError, ValueError, IndexError):
        return None


def _receive() -> Call:
    """Wait for the words of a call; an empty one ends them."""
    received = b""
    while not received.endswith(b"\0\0"):
        received += os.read(_CALLS, _CHUNK_BYTES)
    began, *variables = received[:-2].split(b"\0")
    pairs = (os.fsdecode(each).partition("=") for each in variables)
    return Call(int(began), {name: value for name, _, value in pairs})
