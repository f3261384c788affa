"""Clients that attack: each attack gets through to a naive server, and the real one refuses it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack import marks
from tests.attack.arena import Arena
from tests.attack.client import ATTACKS, Attack
from tests.attack.client.stand import naive_victim, real_victim
from tests.attack.client.victim import Victim
from tests.attack.conftest import count_attack
from tests.attack.probe.attempts import Refused

pytestmark = marks.ATTACKS


@pytest.fixture
def place(folder: Path) -> Iterator[Path]:
    """A folder of one attack's own."""
    made = folder / "client"
    made.mkdir()
    yield made
    # Not shutil: attacks leave folders deeper than it can go.
    subprocess.run(["rm", "-rf", made], check=True)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_naive_server_falls_for_the_attack_and_the_real_one_refuses_it(
    name: str, place: Path, arena: Arena, pytestconfig: pytest.Config
) -> None:
    attack = ATTACKS[name]
    count_attack(pytestconfig, "tried")
    with naive_victim(place) as victim:
        assert carry_out(attack, victim)
    with arena.world.host.entered(), real_victim(arena, place) as victim:
        with pytest.raises(Refused) as refusal:
            pytest.fail(f"the attack succeeded: {carry_out(attack, victim)}")
        assert refusal.value.reason in attack.refusals, refusal.value
        assert not arena.look_around("refused")
    count_attack(pytestconfig, "refused")


def carry_out(attack: Attack, victim: Victim) -> str:
    """Try an attack with the host's folder in order; returns its evidence."""
    victim.restore()
    return attack.run(victim)
