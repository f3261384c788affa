"""The whole platform on one machine: `python -m local.stack up`, `down` or `status`."""

import argparse
import hashlib
import os
import sys
from pathlib import Path

from local import (
    bring_up,
    environment,
    identity,
    ministack,
    processes,
    relay_process,
    sandbox_server,
    tear_down,
)
from local.deployment import DeploymentFailed
from local.places import REPOSITORY, Places
from local.preflight import HostUnfit
from local.steps import say

_PROCESSES = (ministack.NAME, sandbox_server.NAME, relay_process.NAME)


def main() -> int:
    """Carry out one command; the exit code is 0 if it did what it says."""
    options = _parse()
    places = Places(options.directory.resolve())
    try:
        if options.command == "up":
            up(places, engine=options.engine)
        elif options.command == "down":
            down(places)
        else:
            return _status(places)
    except (HostUnfit, DeploymentFailed, processes.ProcessFailed) as error:
        say(f"\n{error}")
        return 1
    return 0


def up(places: Places, *, engine: str) -> None:
    """Start what is not running; a running stack gets the code that has changed since."""
    known = identity.load(places.identity)
    if known and _running(places) and places.environment.exists():
        say("The stack is up already; taking over what has changed.")
        bring_up.reload(places, known)
    else:
        tear_down.remove_all(places, instance_of(places))
        _start_or_remove(places, engine=engine)
    say(f"\nReady: {environment.read(places.environment)['CASTARI_API_URL']}")
    say(f"Keys and addresses: {places.environment}")


def _start_or_remove(places: Places, *, engine: str) -> None:
    """Start everything, or leave nothing running; the logs stay."""
    try:
        bring_up.start_all(places, instance_of(places), engine=engine)
    except BaseException:
        tear_down.remove_all(places, instance_of(places))
        raise


def down(places: Places) -> None:
    """End everything and leave nothing but what is worth keeping: built packages and the root filesystem."""
    tear_down.remove_all(places, instance_of(places))
    say("The stack is down.")


def instance_of(places: Places) -> str:
    """Return the name under which the stack of this folder is found again on the host, four letters long."""
    return hashlib.sha256(str(places.root).encode()).hexdigest()[:4]


def _running(places: Places) -> bool:
    return all(processes.find(name, places.pids) for name in _PROCESSES)


def _status(places: Places) -> int:
    for name in _PROCESSES:
        process = processes.find(name, places.pids)
        say(f"{name:<12}{f'pid {process.pid}' if process else 'not running'}")
    return 0 if _running(places) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.stack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(os.environ.get("CASTARI_LOCAL", REPOSITORY / ".local")),
        help="where the stack keeps its files (%(default)s); another folder is another stack",
    )
    parser.add_argument(
        "--engine",
        choices=["namespaces", "bare"],
        default="namespaces",
        help="what makes sandboxes; `bare` isolates nothing and serves measurements only",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
