"""The probe's command line: `list`, or `run TARGET_JSON NAME...`."""

import sys

from .attempts import ATTEMPTS
from .guard import NotASandboxError, check_sandboxed
from .targets import Target
from .trial import try_one


def main(arguments: list[str]) -> int:
    """Run the attempts that are named, one after another, each in a process of its own."""
    match arguments:
        case ["list"]:
            print("\n".join(ATTEMPTS))
        case ["run", target, *names]:
            try:
                check_sandboxed()
            except NotASandboxError as error:
                print(error, file=sys.stderr)
                return 3
            for name in names:
                try_one(ATTEMPTS[name], Target.from_json(target))
        case _:
            print("usage: probe list | probe run TARGET_JSON NAME...", file=sys.stderr)
            return 2
    return 0
