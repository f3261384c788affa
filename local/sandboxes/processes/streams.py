"""What connects the server with a command: three pipes, or one pseudo-terminal that has a size."""

import fcntl
import os
import struct
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.sandboxes.envd.connect import Message, field
from local.sandboxes.envd.errors import ConnectError

Terminal = tuple[int, int]
"""Descriptors of a pseudo-terminal's two sides: ours, and the command's."""

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
    """The server's descriptors: one to write to, and those to read from by their events' names."""

    input: int | None
    outputs: Mapping[str, int]


def open_pipes(owner: int, *, stdin: bool) -> tuple[Ends, list[int]]:
    """Pipes that belong to the user id `owner`, and the command's ends of them: stdout, stderr, then stdin.

    They are made here and not in the sandbox: nobody there has our ends, so nobody can make them block.
    """
    stdout, their_stdout = os.pipe()
    stderr, their_stderr = os.pipe()
    theirs, input_end = [their_stdout, their_stderr], None
    if stdin:
        their_input, input_end = os.pipe()
        theirs.append(their_input)
    for fd in theirs:
        os.fchown(fd, owner, owner)
    return Ends(input_end, {"stdout": stdout, "stderr": stderr}), theirs


def open_terminal(owner: int, size: Size, open_one: Callable[[], Terminal]) -> tuple[Ends, list[int]]:
    """A pseudo-terminal that belongs to the user id `owner`, and the command's side of it."""
    ours, theirs = open_one()
    os.fchown(theirs, owner, -1)
    size.put_on(ours)
    # Two descriptors, because the event loop closes input and output on their own.
    return Ends(os.dup(ours), {"pty": ours}), [theirs]
