"""Ends a local stack and removes what it left on the host, also after any part of it has crashed."""

import shutil

from local import ministack, processes, relay_process, sandbox_server
from local.places import Places
from local.steps import step

_GRACE_SECONDS = 5.0


def remove_all(places: Places, instance: str) -> None:
    """End every process of the stack in `places`, then remove its mounts, networks, cgroups and files."""
    if not places.root.exists():
        return
    with step("stop the relay, the sandboxes and the local AWS"):
        end_processes(places)
    with step("remove what they left"):
        sandbox_server.remove_leftovers(instance)
        for path in (places.environment, places.identity, places.sandbox_key):
            path.unlink(missing_ok=True)
        for folder in (places.temporary, places.pids):
            shutil.rmtree(folder, ignore_errors=True)


def end_processes(places: Places) -> None:
    """End every process of the stack in `places`."""
    processes.stop(relay_process.NAME, places.pids, grace_seconds=_GRACE_SECONDS)
    sandbox_server.stop(places)
    processes.stop(ministack.NAME, places.pids, grace_seconds=_GRACE_SECONDS)
    # Workers of a local AWS that was killed, or a process whose start was cut short.
    for process in processes.marked(places.root):
        process.end(_GRACE_SECONDS)
