"""The sandbox server as a process of the stack: starts it, waits until it serves, removes what it left."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local import processes
from local.identity import Identity
from local.packaging import content_hash
from local.places import REPOSITORY, Places, write_private
from local.sandboxes.namespaces import instances, leftovers, network
from local.sandboxes.namespaces.settings import EngineSettings, Names
from local.steps import Note

NAME = "sandboxes"
_POOL = 4
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.02
_BUILT = "root filesystem"
"""The event that tells of a part of the root filesystem that is built."""


def code() -> str:
    """Return a hash of what a running server would have to be restarted for."""
    return "-".join(content_hash(REPOSITORY / folder) for folder in ("local/sandboxes", "base_template"))


def relay_address(instance: str, *, engine: str) -> str:
    """Return the host's address on which sandboxes of this instance will reach the relay."""
    if engine == "bare":
        return "127.0.0.1"
    return network.relay_address(instances.join(instance, EngineSettings.address_range))


def start(places: Places, identity: Identity, *, engine: str) -> processes.Process:
    """Start the server; it is not ready yet, and the first time it builds its root filesystem."""
    write_private(places.sandbox_key, identity.sandbox_api_key)
    return processes.start(
        NAME,
        [
            *(sys.executable, "-m", "local.sandboxes"),
            *("--port", str(identity.sandbox_port)),
            *("--api-key-file", places.sandbox_key),
            *("--state-dir", places.sandboxes),
            *("--instance", identity.instance),
            *("--pool", str(_POOL)),
            *("--relay", f"{identity.relay_address}:{identity.relay_port}"),
            *("--engine", engine),
        ],
        environment=_environment(places),
        folder=REPOSITORY,
        pids=places.pids,
        log=places.logs / f"{NAME}.log",
    )


def wait(process: processes.Process, places: Places, note: Note, *, seconds: float) -> None:
    """Wait until the server serves; tell `note` what it builds the first time, which takes a minute.

    Raises `ProcessFailed` with the end of its log if it does not come to serve.
    """
    log = places.logs / f"{NAME}.log"
    deadline = time.monotonic() + seconds
    told = 0
    while True:
        events = [json.loads(line) for line in _whole_lines(log) if line.startswith("{")]
        for event in events[told:]:
            if event.get("event") == _BUILT:
                note(event["step"], event["seconds"])
        told = len(events)
        if any("url" in event for event in events):
            return
        if not process.alive or time.monotonic() > deadline:
            message = f"the sandbox server did not start; its log ends:\n{processes.tail(log)}"
            raise processes.ProcessFailed(message)
        time.sleep(_POLL_SECONDS)


def _whole_lines(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines(keepends=True) if line.endswith("\n")]


def stop(places: Places) -> None:
    """End the server and with it every sandbox."""
    processes.stop(NAME, places.pids, grace_seconds=_STOP_SECONDS)
    places.sandbox_key.unlink(missing_ok=True)


def remove_leftovers(instance: str) -> None:
    """Remove what a server of this instance left on the host when it was killed: cgroups, mounts, network."""
    if os.geteuid() == 0:
        asyncio.run(leftovers.remove_leftovers(Names(instance), for_good=True))


def _environment(places: Places) -> Mapping[str, str]:
    """Return the caller's environment, which knows its proxies and mirrors, without anybody's keys."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CASTARI_", "E2B_", "ANTHROPIC_"))
    }
    return {**kept, processes.MARK: str(places.root)}
