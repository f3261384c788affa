"""What connects the daemon with a command: three pipes, or one pseudo-terminal that has a size."""

import fcntl
import os
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.spawn import Standard

_MAX_CELLS = 0xFFFF


@dataclass(frozen=True)
class Size:
    """A terminal's size in characters."""

    rows: int
    cols: int

    @classmethod
    def parse(cls, message: Message) -> "Size":
        """Read a `PTY` message. Raises `ConnectError` for a size that no terminal can have."""
        size = field(message, "size", dict, {})
        rows, cols = field(size, "rows", int, 0), field(size, "cols", int, 0)
        if not (0 <= rows <= _MAX_CELLS and 0 <= cols <= _MAX_CELLS):
            raise ConnectError(
                "invalid_argument", f"a terminal has 0 to {_MAX_CELLS} rows and columns, not {rows} x {cols}"
            )
        return cls(rows, cols)

    def put_on(self, terminal: int) -> None:
        """Give a terminal this size; the kernel tells the processes in its foreground."""
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.cols, 0, 0))


@dataclass(frozen=True)
class Ends:
    """The daemon's descriptors: one to write to, and those to read from by their events' names."""

    input: int | None
    outputs: Mapping[str, int]

    def close(self) -> None:
        """Close them all."""
        for fd in (self.input, *self.outputs.values()):
            if fd is not None:
                os.close(fd)


def open_pipes(*, stdin: bool) -> tuple[Ends, Standard]:
    """Three pipes; without `stdin` the command reads from nothing."""
    their_input, input_end = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), None)
    stdout_end, their_stdout = os.pipe()
    stderr_end, their_stderr = os.pipe()
    ends = Ends(input_end, {"stdout": stdout_end, "stderr": stderr_end})
    return ends, Standard(their_input, their_stdout, their_stderr)


def open_terminal(size: Size, account: Account) -> tuple[Ends, Standard]:
    """A pseudo-terminal that belongs to `account`."""
    # The kernel gives a terminal to whoever opens it.
    with acting_as(account):
        ours, theirs = os.openpty()
    size.put_on(ours)
    # Two descriptors, because the event loop closes input and output on their own.
    return Ends(os.dup(ours), {"pty": ours}), Standard(theirs, theirs, theirs, terminal=True)
