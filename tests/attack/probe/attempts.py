"""What an attempt is: a function that returns its evidence, or raises what refused it."""

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from .targets import Target

Weakness = Literal["root", "user", "lenient_kernel"]
"""What must be wrong with a sandbox for an attempt to succeed, every one in namespaces of its own:
the agent is `root` and owns all its namespaces; it is an unconfined `user` among exposed host files;
or its kernel says yes to calls that no harmless sandbox could really allow."""

Run = Callable[[Target], str]


class Refused(Exception):
    """The attempt failed for a reason other than an errno."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Attempt:
    """One attack: how to try it, the refusals that are right, and the weakness that lets it through."""

    name: str
    theme: str
    run: Run
    refusals: frozenset[str]
    weakness: Weakness


ATTEMPTS: dict[str, Attempt] = {}


def attempt(*refusals: str, weakness: Weakness) -> Callable[[Run], Run]:
    """Register a function as an attempt. `refusals` are errno names, signal names or own words."""

    def register(run: Run) -> Run:
        theme = run.__module__.rpartition(".")[2]
        name = run.__name__
        ATTEMPTS[name] = Attempt(name, theme, run, frozenset(refusals), weakness)
        return run

    return register


def reason_of(error: OSError) -> str:
    """Name what refused: the errno's symbol, or the exception where there is none."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def first_success(tries: Iterable[Callable[[], str]]) -> str:
    """Return the evidence of the first that works; raise the last refusal if none does."""
    refusal: OSError | Refused = Refused("nothing to try")
    for each in tries:
        try:
            return each()
        except (OSError, Refused) as error:
            refusal = error
    raise refusal
