"""Pauses the sandboxes of sessions that nobody uses: a paused sandbox costs no compute."""

from contextlib import suppress
from dataclasses import dataclass

from castari.adapters.queues import Queue
from castari.errors import VendorUnavailable
from castari.messages import PauseSession
from castari.models import Invocation
from castari.settings import Limits


@dataclass(frozen=True)
class SessionRests:
    """Asks for pauses. One that is never carried out is made good by the sandbox's own timeout."""

    maintenance: Queue
    limits: Limits

    def ask(self, invocation: Invocation) -> None:
        """Have the sandbox of a finished invocation paused, if nobody uses its session until then."""
        message = PauseSession(agent_id=invocation.agent_id, session_id=invocation.session_id)
        with suppress(VendorUnavailable):
            self.maintenance.send(message, delay_seconds=self.limits.session_idle_seconds)
