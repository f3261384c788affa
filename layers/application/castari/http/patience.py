"""How much of the gateway's patience is over: it ends an integration 30 s after its own time stamp."""

import time

from castari.http.answers import Event


def seconds_gone(event: Event) -> float:
    """Return the seconds since the request reached the gateway."""
    now = time.time()
    began_milliseconds: int = event["requestContext"].get("timeEpoch", now * 1000)
    return now - began_milliseconds / 1000
