"""What an attack of a client is: a function that returns its evidence, or raises what refused it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.attack.client.victim import Victim

Run = Callable[[Victim], str]


@dataclass(frozen=True)
class Attack:
    """One attack, and the refusals that are right: an HTTP status, `closed`, or a word of its own.

    What `permitted_to_root` gives a reason for, a sandbox's owner may ask for in its root's name.
    """

    name: str
    theme: str
    run: Run
    refusals: frozenset[str]
    permitted_to_root: str = ""


ATTACKS: dict[str, Attack] = {}


def attack(*refusals: str, permitted_to_root: str = "") -> Callable[[Run], Run]:
    """Register a function as an attack."""

    def register(run: Run) -> Run:
        name, theme = run.__name__, run.__module__.rpartition(".")[2]
        ATTACKS[name] = Attack(name, theme, run, frozenset(refusals), permitted_to_root)
        return run

    return register
