"""How the probe speaks with whoever runs it: one JSON line an event on stdout, one line back on stdin."""

import json
import os
import sys
from typing import Literal

State = Literal["holding", "refused", "succeeded"]

_current = "none"


def begin(name: str) -> None:
    """Name the attempt that the following events belong to."""
    globals()["_current"] = name


def tell(state: State, reason: str, detail: str = "") -> None:
    """Report an event, and wait until whoever runs the probe has looked around."""
    line = json.dumps({"attempt": _current, "state": state, "reason": reason, "detail": detail[:400]})
    # Straight to the descriptor: an exhausted process may be unable to buffer.
    os.write(sys.stdout.fileno(), line.encode() + b"\n")
    while os.read(sys.stdin.fileno(), 1) not in (b"\n", b""):
        pass


def hold(what: str) -> None:
    """Tell that something is used up, and go on using it up until told to go on."""
    tell("holding", what)
