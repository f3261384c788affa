"""What an attack of a client is: a function that returns its evidence, or raises what refused it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.attack.client.victim import Victim

Run = Callable[[Victim], str]


@dataclass(frozen=True)
class Attack:
    """One attack, and the refusals that are right: an HTTP status, `closed`, or a word of its own."""

    name: str
    run: Run
    refusals: frozenset[str]


ATTACKS: dict[str, Attack] = {}


def attack(*refusals: str) -> Callable[[Run], Run]:
    """Register a function as an attack."""

    def register(run: Run) -> Run:
        ATTACKS[run.__name__] = Attack(run.__name__, run, frozenset(refusals))
        return run

    return register
