"""The server's ends of a command's pipes or terminal: output read in chunks, input written as it fits."""

import asyncio
import os
from collections.abc import Callable

from local.sandboxes.envd.errors import ConnectError

CHUNK_BYTES = 32 * 1024

UNHEARD_SECONDS = 0.002
"""Between two chunks that nobody listens to: an agent may write without end, and others need the server."""


class OutputPipe:
    """Reads one output of a command for as long as somebody, also a grandchild, can write to it."""

    def __init__(self, fd: int, on_chunk: Callable[[bytes], None], on_eof: Callable[[], None]) -> None:
        os.set_blocking(fd, False)
        self._fd, self._on_chunk, self._on_eof = fd, on_chunk, on_eof
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self.open = True

    def resume(self, *, heard: bool) -> None:
        """Read from now on: at once while it is heard, and at leisure while it is not."""
        if self.open:
            self._stop_waiting()
            self._loop.add_reader(self._fd, self.read if heard else self._read_unheard)

    def pause(self) -> None:
        """Leave output in the pipe, so that its writers wait."""
        if self.open:
            self._stop_waiting()
            self._loop.remove_reader(self._fd)

    def read(self) -> bool:
        """Take one chunk. Returns whether there was one."""
        try:
            chunk = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""  # A terminal that nobody has open any more has no end of file: reading it fails.
        if chunk:
            self._on_chunk(chunk)
        else:
            self.close()
            self._on_eof()
        return bool(chunk)

    def _read_unheard(self) -> None:
        if self.read() and self.open:
            self.pause()
            self._next = self._loop.call_later(UNHEARD_SECONDS, self._continue)

    def _continue(self) -> None:
        self.resume(heard=False)

    def _stop_waiting(self) -> None:
        if self._next:
            self._next.cancel()
            self._next = None

    def drain(self) -> None:
        """Take what is in the pipe now, and no more than that."""
        for _ in range(1024 * 1024 // CHUNK_BYTES):
            if not self.open or not self.read():
                return

    def close(self) -> None:
        """Stop reading for good."""
        if self.open:
            self.pause()
            self.open = False
            os.close(self._fd)


class InputPipe:
    """Writes a command's stdin, one caller after the other."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._turn = asyncio.Lock()
        self._open = True

    async def write(self, data: bytes) -> None:
        """Write all of `data`, waiting while the pipe is full. Raises `ConnectError` once it is closed."""
        async with self._turn:
            rest = memoryview(data)
            while rest:
                if not self._open:
                    raise ConnectError("internal", "the command's stdin is closed")
                rest = rest[await self._write_some(rest) :]

    async def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            await self._until_writable()
            return 0
        except OSError:  # A pipe's reader, or a terminal's last user, is gone.
            raise ConnectError("internal", "the command does not read its stdin any more") from None

    async def _until_writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        loop.add_writer(self._fd, self._wake)
        try:
            await self._writable
        finally:
            if self._open:
                loop.remove_writer(self._fd)

    def _wake(self) -> None:
        if not self._writable.done():
            self._writable.set_result(None)

    def close(self) -> None:
        """Signal the end of input. Safe to call again."""
        if not self._open:
            return
        self._open = False
        asyncio.get_running_loop().remove_writer(self._fd)
        os.close(self._fd)
        if hasattr(self, "_writable"):
            self._wake()
