"""What an agent prints, from a byte on: out of its sandbox while it runs, out of the store afterwards."""

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.results import ResultBucket, log_key
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import NotFound
from castari.models import Agent, Invocation, InvocationStatus, OutputStream
from castari.reports import LONGEST_OUTPUT_BYTES
from castari.services.invocation_states import is_terminal
from castari.services.live_output import LiveOutput
from castari.services.pauses import pauses

_LONGEST_LOOK_SECONDS = 10.0
"""A look into a sandbox waits so long; then the row is read again, should the sandbox hide its end."""
_LONGEST_CHARACTER_BYTES = 4


@dataclass(frozen=True)
class OutputPart:
    """Bytes of a stream; once it is `done`, nothing will follow `next_offset`."""

    status: InvocationStatus
    offset: int
    content: bytes
    done: bool

    @property
    def next_offset(self) -> int:
        """Where to go on."""
        return self.offset + len(self.content)


@dataclass(frozen=True)
class Outputs:
    """Reads streams."""

    invocations: InvocationsTable
    results: ResultBucket
    live: LiveOutput

    async def read(
        self, agent: Agent, invocation_id: str, stream: OutputStream, *, offset: int, wait_seconds: float
    ) -> OutputPart:
        """Return what the stream holds from the offset on, once there is any. Raises `NotFound`.

        Parts end between characters, so that text stays text; the last bytes may be any.
        """
        clock = asyncio.get_running_loop().time
        ends_at = clock() + wait_seconds
        for pause in pauses():
            invocation = await asyncio.to_thread(self._invocation, agent, invocation_id)
            if is_terminal(invocation):
                return await asyncio.to_thread(self._stored, invocation, stream, offset)
            wait = max(0.0, min(ends_at - clock(), _LONGEST_LOOK_SECONDS))
            content = await self.live.read(invocation, stream, offset=offset, wait_seconds=wait)
            content = _whole_characters(content)
            if content or clock() >= ends_at:
                return OutputPart(invocation.status, offset, content, done=False)
            await asyncio.sleep(max(0.0, min(pause, ends_at - clock())))
        raise AssertionError

    def _invocation(self, agent: Agent, invocation_id: str) -> Invocation:
        invocation = self.invocations.get(invocation_id)
        if invocation.agent_id != agent.agent_id:
            raise NotFound("Invocation not found")
        return invocation

    def _stored(self, invocation: Invocation, stream: OutputStream, offset: int) -> OutputPart:
        """Return a part of what was kept. Of stderr that is the end, so a part may begin after the offset."""
        first = 0
        if stream == "stderr":
            first, kept = self._stderr(invocation, offset)
        else:
            kept = self._stdout(invocation, offset)
        content = kept
        if len(kept) > LONGEST_OUTPUT_BYTES:
            content = _whole_characters(kept[:LONGEST_OUTPUT_BYTES])
        return OutputPart(invocation.status, max(offset, first), content, done=len(content) == len(kept))

    def _stderr(self, invocation: Invocation, offset: int) -> tuple[int, bytes]:
        """Return where in the stream begins what was kept, and a part of that from the offset on."""
        if stored := invocation.stderr_stored_bytes:
            first = max(0, invocation.stderr_bytes - stored)
            with suppress(NotFound):
                return first, self.results.read_part(
                    log_key(invocation.invocation_id, invocation.attempt),
                    offset=max(0, offset - first),
                    limit_bytes=LONGEST_OUTPUT_BYTES + 1,
                )
        tail = (invocation.stderr_tail or "").encode()
        first = max(0, invocation.stderr_bytes - len(tail))
        return first, tail[max(0, offset - first) :][: LONGEST_OUTPUT_BYTES + 1]

    def _stdout(self, invocation: Invocation, offset: int) -> bytes:
        if invocation.response_key is None:
            text = invocation.response or ""
            whole = base64.b64decode(text) if invocation.response_is_base64 else text.encode()
            return whole[offset:][: LONGEST_OUTPUT_BYTES + 1]
        try:
            return self.results.read_part(
                invocation.response_key, offset=offset, limit_bytes=LONGEST_OUTPUT_BYTES + 1
            )
        except NotFound:
            return b""


def _whole_characters(content: bytes) -> bytes:
    """Return UTF-8 without an unfinished last character, which the next part begins with."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        if error.end == len(content) and len(content) - error.start < _LONGEST_CHARACTER_BYTES:
            return content[: error.start]
    return content
