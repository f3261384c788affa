"""Starts the sandbox server: `python -m local.sandboxes --help`."""

import argparse
import sys
from pathlib import Path

from local.sandboxes.definition import CACHE
from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.preflight import find_problems, find_system_problems

_ENGINE_HELP = "what isolates: namespaces, or bare, which isolates nothing and is for benches (%(default)s)"


def main() -> int:
    """Serve until SIGTERM or SIGINT. Prints one JSON line on stdout when ready."""
    options = _parse(sys.argv[1:])
    problems = find_system_problems() if options.engine == "bare" else find_problems()
    if problems:
        return _refuse("\n".join(problems))
    # What it imports needs the host that was just looked at.
    from local.sandboxes.serving import run  # noqa: PLC0415

    try:
        run(options)
    except EngineError as error:
        return _refuse(str(error))
    return 0


def _refuse(why: str) -> int:
    print(f"The sandbox server can not start: {why}", file=sys.stderr)  # noqa: T201 - for a person
    return 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.sandboxes", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one (%(default)s)")
    add("--api-key-file", type=Path, required=True, help="file with the key that clients must send")
    add("--state-dir", type=Path, required=True, help="where snapshots are kept")
    add("--cache-dir", type=Path, default=CACHE, help="where root filesystems are kept (%(default)s)")
    add("--instance", default="main", help="name of this server among several on a host (%(default)s)")
    add("--engine", choices=["namespaces", "bare"], default="namespaces", help=_ENGINE_HELP)
    add("--pool", type=int, default=4, help="sandboxes prepared ahead of requests (%(default)s)")
    add("--relay", help="IP:PORT, the only place on this host that sandboxes may reach")
    add("--max-sandboxes", type=int, default=100, help="how many may run at once (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
