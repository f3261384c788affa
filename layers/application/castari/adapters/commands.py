"""A command that runs in a sandbox and tells its story as lines of JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import e2b

from castari.adapters.sandbox_errors import sandbox_errors
from castari.errors import CastariError, SandboxLost

Frame = dict[str, Any]
_LONGEST_LINE = 4 * 1024 * 1024
_MOST_FRAMES = 1_000
"""What sandboxes print is a stranger's input; this much of it may wait to be read."""


class RunningCommand:
    """Frames of a command, as they come; letting go leaves the command running."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._unfinished = ""
        self._handle: e2b.AsyncCommandHandle[Any] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def feed(self, text: str) -> None:
        """Take in a piece of stdout."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        if len(self._unfinished) > _LONGEST_LINE or self._frames.qsize() > _MOST_FRAMES:
            self._unfinished = ""
            return
        for line in lines:
            if frame := _frame(line):
                self._frames.put_nowait(frame)

    def follow(self, handle: "e2b.AsyncCommandHandle[Any]") -> None:
        """Watch for the command's end."""
        self._handle = handle
        self._watcher = asyncio.create_task(self._watch(handle))

    async def frames(self) -> AsyncIterator[Frame]:
        """Yield frames until the command ends.

        Raises `SandboxMissing` if the sandbox is gone, `CommandTimedOut` if its time is over, `SandboxLost`
        if nobody can tell.
        """
        while (frame := await self._frames.get()) is not None:
            yield frame
        if self._watcher:
            await self._watcher

    async def let_go(self) -> None:
        """Stop listening; what runs runs on. Safe to call again."""
        if self._watcher:
            self._watcher.cancel()
            with suppress(BaseException):
                await self._watcher
        if self._handle:
            await self._handle.disconnect()

    async def _watch(self, handle: "e2b.AsyncCommandHandle[Any]") -> None:
        try:
            with sandbox_errors(), suppress(e2b.CommandExitException):
                await handle.wait()
        except CastariError:
            raise
        except Exception as error:
            # The SDK has no class of its own for a stream that ends without an end event.
            raise SandboxLost("the command's stream ended early") from error
        finally:
            self._frames.put_nowait(None)


def _frame(line: str) -> Frame | None:
    """Return the frame on a line, or None for anything else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("castari"), str) else None
