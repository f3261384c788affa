"""What follows on a sandbox that was taken: its successor and, by the same message, its own end."""

import asyncio
from contextlib import suppress

from castari.adapters.queues import Queue
from castari.errors import CastariError
from castari.messages import Refill, ReplaceSandbox
from castari.services.attempts import Launched


class Succession:
    """Asks for the next sandbox when the agent has ended, or soon: a short run need not share its CPU.

    A warm sandbox whose agent ended by then is ended by whoever makes the next one, and its caller does not
    wait for it. That cannot pile up: each such message is about a sandbox that an earlier one made.
    """

    def __init__(self, maintenance: Queue, launched: Launched, soon_seconds: float) -> None:
        self._maintenance, self._launched = maintenance, launched
        self._due, self._agent_ended = asyncio.Event(), False
        self._asking = asyncio.create_task(self._ask(soon_seconds))

    def agent_ended(self) -> None:
        """Ask now; whoever calls this goes on to finish the attempt."""
        self._agent_ended = True
        self._due.set()

    async def settled(self, seconds: float) -> None:
        """Ask now, and wait at most so long until it is sent; sweep sees to what is not."""
        self._due.set()
        await asyncio.wait({self._asking}, timeout=seconds)

    async def ends_sandbox(self) -> bool:
        """Tell whether what was asked for is the end of the sandbox, too."""
        return await asyncio.shield(self._asking)

    async def _ask(self, soon_seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), soon_seconds)
        invocation = self._launched.invocation
        if invocation.in_session:
            return False
        message = self._message()
        try:
            await asyncio.to_thread(self._maintenance.send, message)
        except CastariError:
            return False
        return isinstance(message, ReplaceSandbox)

    def _message(self) -> Refill | ReplaceSandbox:
        invocation = self._launched.invocation
        if not (self._agent_ended and self._launched.was_warm and invocation.sandbox_id):
            return Refill(user_id=invocation.user_id, slug=invocation.slug)
        return ReplaceSandbox(
            user_id=invocation.user_id,
            slug=invocation.slug,
            sandbox_id=invocation.sandbox_id,
            invocation_id=invocation.invocation_id,
            attempt=invocation.attempt,
        )
