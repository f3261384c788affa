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
from tests.attack.probe import Caller
from tests.attack.probe.attempts import Refused

pytestmark = marks.ATTACKS

WITH_FILES = [name for name, each in ATTACKS.items() if each.theme in ("files", "paths")]
PERMITTED = [name for name in WITH_FILES if ATTACKS[name].permitted_to_root]


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
    check_attack(ATTACKS[name], "user", place, arena, pytestconfig)


@pytest.mark.parametrize("name", [name for name in WITH_FILES if name not in PERMITTED])
def test_a_naive_server_falls_for_the_attack_and_the_real_one_refuses_it_in_the_name_of_root(
    name: str, place: Path, arena: Arena, pytestconfig: pytest.Config
) -> None:
    check_attack(ATTACKS[name], "root", place, arena, pytestconfig)


@pytest.mark.parametrize("name", PERMITTED)
def test_a_client_reads_root_s_files_in_the_name_of_root(name: str, place: Path, arena: Arena) -> None:
    with arena.world.host.entered(), real_victim(arena, place, "root") as victim:
        assert carry_out(ATTACKS[name], victim)


def check_attack(attack: Attack, caller: Caller, place: Path, arena: Arena, config: pytest.Config) -> None:
    """Hold that a naive server falls for the attack, and that the real one refuses it for a right reason."""
    count_attack(config, caller, "tried")
    with naive_victim(place) as victim:
        assert carry_out(attack, victim)
    with arena.world.host.entered(), real_victim(arena, place, caller) as victim:
        with pytest.raises(Refused) as refusal:
            pytest.fail(f"the attack succeeded: {carry_out(attack, victim)}")
        assert refusal.value.reason in attack.refusals, refusal.value
        assert not arena.look_around("refused")
    count_attack(config, caller, "refused")


def carry_out(attack: Attack, victim: Victim) -> str:
    """Try an attack with the host's folder in order; returns its evidence."""
    victim.restore()
    return attack.run(victim)
