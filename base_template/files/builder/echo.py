"""Passes on what a command prints while it runs: whole lines, few frames, and no more than a limit."""

import codecs
import time

from runner.report import write_frame

_PAUSE_SECONDS = 0.3
_LONGEST_FRAME_CHARACTERS = 4_000
_MOST_FRAMES = 400
"""The control plane lets fewer than a thousand frames wait, and must not miss the last one."""
_LEFT_OUT = "… what follows is left out of this log\n"


class Echo:
    """One command's output on its way to the build log."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting, self._frames, self._due = "", 0, 0.0

    def feed(self, chunk: bytes) -> None:
        """Take in a piece of output."""
        if self._frames < _MOST_FRAMES:
            self._waiting += self._decoder.decode(chunk)
            while len(self._waiting) > _LONGEST_FRAME_CHARACTERS:
                self._pass_on(_LONGEST_FRAME_CHARACTERS)

    def tick(self) -> None:
        """Pass on the whole lines that wait, if the last frame is long enough ago."""
        if time.monotonic() >= self._due and (length := self._waiting.rfind("\n") + 1):
            self._pass_on(length)

    def close(self) -> None:
        """Pass on what is left."""
        if self._waiting:
            self._pass_on(len(self._waiting))

    def _pass_on(self, characters: int) -> None:
        text, self._waiting = self._waiting[:characters], self._waiting[characters:]
        self._due, self._frames = time.monotonic() + _PAUSE_SECONDS, self._frames + 1
        if self._frames >= _MOST_FRAMES:
            text, self._waiting = _LEFT_OUT, ""
        write_frame("output", text=text)
