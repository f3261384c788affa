"""The relay as a process of the stack."""

import sys
import time
import urllib.error
import urllib.request

from local import processes
from local.identity import Identity
from local.places import REPOSITORY, Places

NAME = "relay"
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02


def start(places: Places, stack: Identity) -> None:
    """Start it and wait until it answers; its address must exist. Raises `ProcessFailed`."""
    log = places.logs / f"{NAME}.log"
    process = processes.start(
        NAME,
        [
            *(sys.executable, "-m", "local.relay"),
            *("--address", stack.relay_address),
            *("--port", str(stack.relay_port)),
            *("--upstream", stack.aws_url),
            *(word for bucket in stack.buckets for word in ("--bucket", bucket)),
        ],
        environment={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", processes.MARK: str(places.root)},
        folder=REPOSITORY,
        pids=places.pids,
        log=log,
    )
    deadline = time.monotonic() + _READY_SECONDS
    while not _listens(stack.relay_url):
        if not process.alive or time.monotonic() > deadline:
            message = f"the relay did not start; its log ends:\n{processes.tail(log)}"
            raise processes.ProcessFailed(message)
        time.sleep(_POLL_SECONDS)


def _listens(url: str) -> bool:
    """Whether anybody answers there, a refusal included."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
