"""Looks into a running sandbox for what its agent has printed, which changes nothing about when it ends."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.errors import CastariError
from castari.models import Invocation, OutputStream, SandboxAccess
from castari.reports import LONGEST_OUTPUT_BYTES, OutputFrame
from castari.services.environments import spool_folder

_COMMAND = "exec python3 -I -S /opt/castari output"
_GRACE_SECONDS = 5.0
"""For the start of the look and for its answer, beyond what it waits for output."""


@dataclass(frozen=True)
class LiveOutput:
    """What comes out of a sandbox is a stranger's: bounded, and believed in nothing but its bytes."""

    sandboxes: Sandboxes
    sealer: Sealer

    async def read(
        self, invocation: Invocation, stream: OutputStream, *, offset: int, wait_seconds: float
    ) -> bytes:
        """Return what the stream holds from a byte on, once there is any; none if the sandbox cannot say."""
        if invocation.sandbox_id is None or invocation.sealed_access is None:
            return b""
        folder = spool_folder(invocation.invocation_id, invocation.attempt)
        command = f"{_COMMAND} {folder} {stream} {offset} {LONGEST_OUTPUT_BYTES} {wait_seconds:.2f}"
        with suppress(CastariError, TimeoutError):
            access = self.sealer.open(invocation.sandbox_id, invocation.sealed_access)
            async with asyncio.timeout(wait_seconds + _GRACE_SECONDS):
                return await self._look(access, command, wait_seconds + _GRACE_SECONDS, offset)
        return b""

    async def _look(self, access: SandboxAccess, command: str, seconds: float, offset: int) -> bytes:
        running = await self.sandboxes.start(access, command, environment={}, timeout_seconds=seconds)
        try:
            async for frame in running.frames():
                with suppress(ValidationError):
                    found = OutputFrame.model_validate(frame)
                    return found.content if found.offset == offset else b""
            return b""
        finally:
            await running.let_go()
