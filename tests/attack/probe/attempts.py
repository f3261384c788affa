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

Caller = Literal["user", "root"]
"""Who tries: the agent's user, in a sandbox without root, or root of a sandbox that has sudo."""

Run = Callable[[Target], str]


class Refused(Exception):
    """The attempt failed for a reason other than an errno."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Attempt:
    """One attack: how to try it, the refusals that are right, and the weakness that lets it through.

    What `permitted_to_root` gives a reason for, root may do, as it concerns its own sandbox alone.
    """

    name: str
    theme: str
    run: Run
    refusals: frozenset[str]
    weakness: Weakness
    refusals_to_root: frozenset[str]
    permitted_to_root: str = ""
    callers: tuple[Caller, ...] = ("user", "root")

    def refusals_to(self, caller: Caller) -> frozenset[str]:
        """The refusals that are right for who tries."""
        return self.refusals_to_root if caller == "root" else self.refusals


ATTEMPTS: dict[str, Attempt] = {}


def attempt(
    *refusals: str,
    weakness: Weakness,
    to_root: tuple[str, ...] = (),
    permitted_to_root: str = "",
    callers: tuple[Caller, ...] = ("user", "root"),
) -> Callable[[Run], Run]:
    """Register a function as an attempt. `refusals` are errno names, signal names or own words.

    Root is refused like the user, or as `to_root` says.
    """

    def register(run: Run) -> Run:
        theme = run.__module__.rpartition(".")[2]
        name = run.__name__
        refused, root = frozenset(refusals), frozenset(to_root or refusals)
        ATTEMPTS[name] = Attempt(name, theme, run, refused, weakness, root, permitted_to_root, callers)
        return run

    return register


def attempts_of(caller: Caller) -> dict[str, Attempt]:
    """The attempts that make sense for who tries."""
    return {name: each for name, each in ATTEMPTS.items() if caller in each.callers}


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
