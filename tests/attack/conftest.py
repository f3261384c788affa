"""Runs the attack probe once in each kind of sandbox, for all tests that ask how an attempt ended."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import pytest

from tests.attack.arena import Arena, an_arena
from tests.attack.packing import pack_probe
from tests.attack.probe import ATTEMPTS, Attempt, Caller, Target, Weakness, attempts_of
from tests.attack.verdicts import Verdict
from tests.attack.weak.jail import HOST_SOCKET, try_in_weak_sandbox
from tests.attack.weak.root import KERNEL_FILES
from tests.attack.world import World, a_world, remove_dead_worlds

TAG = f"a{os.getpid()}"
"""What everything on the machine that these tests make is named after."""

_SUMMARY = pytest.StashKey[list[str]]()
_CLIENT_ATTACKS = pytest.StashKey[dict[Caller, Counter[str]]]()
_LAST = ("crowds", "descriptors", "tasks", "disk", "memory")
"""Themes that use things up: after all others, so that nothing is refused for want of them."""


def in_order(attempts: dict[str, Attempt]) -> list[str]:
    """The names of attempts, those that use things up last."""
    return sorted(attempts, key=lambda name: attempts[name].theme in _LAST)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that everybody on the host may enter: the weak sandboxes have no rights on it."""
    remove_dead_worlds()
    made = Path(tempfile.mkdtemp(prefix="castari-attack-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def controls(folder: Path) -> dict[str, Verdict]:
    """How each attempt ended in a sandbox that is weak on purpose."""
    verdicts: dict[str, Verdict] = {}
    for weakness in get_args(Weakness):
        attempts = {name: each for name, each in ATTEMPTS.items() if each.weakness == weakness}
        place = folder / weakness
        place.mkdir()
        place.chmod(0o755)
        pack_probe(place / "probe.pyz")
        (place / "host-file").write_text("a secret of the host\n")
        with a_world(f"{TAG}w") as world:
            target = _weak_target(world, place)
            verdicts |= try_in_weak_sandbox(world, weakness, in_order(attempts), target, place)
    return verdicts


def _weak_target(world: World, place: Path) -> Target:
    places = world.places()
    target = Target(
        str(place / "host-file"), foreign_pids=(1,), foreign_sockets=(HOST_SOCKET,), places=places
    )
    # Without a firewall the host's own services can stand for the neighbour's and the control API.
    places |= {"neighbour": places["host"][1:], "control_api": places["loopback"]}
    return replace(target, kernel_files=KERNEL_FILES)


@pytest.fixture(scope="session")
def arena(folder: Path) -> Iterator[Arena]:
    """A real server with an attacker and a neighbour, in a world of their own."""
    place = folder / "arena"
    place.mkdir()
    with an_arena(place, TAG) as made:
        yield made


@pytest.fixture(scope="session")
def verdicts(controls: dict[str, Verdict], arena: Arena, pytestconfig: pytest.Config) -> dict[str, Verdict]:
    """How each attempt of an agent's user ended in a real sandbox, run after the controls."""
    attempts = attempts_of("user")
    told = arena.attack("user", in_order(attempts))
    summary(pytestconfig).append(_counted("an agent", attempts, controls, told))
    return told


@pytest.fixture(scope="session")
def verdicts_of_root(
    controls: dict[str, Verdict], arena: Arena, pytestconfig: pytest.Config
) -> dict[str, Verdict]:
    """The same for root of a sandbox that has one."""
    attempts = attempts_of("root")
    told = arena.attack("root", in_order(attempts))
    refused = {name: each for name, each in attempts.items() if not each.permitted_to_root}
    counted = _counted("root of a sandbox", refused, controls, told)
    permitted = len(attempts) - len(refused)
    summary(pytestconfig).append(f"{counted}, and {permitted} more that it may do in its own")
    return told


def _counted(
    who: str, attempts: Iterable[str], controls: dict[str, Verdict], told: dict[str, Verdict]
) -> str:
    tried = list(attempts)
    let_through = [name for name in tried if controls[name].state == "succeeded"]
    succeeded = [name for name in tried if told[name].state == "succeeded" or told[name].harm]
    line = f"{len(tried)} attempts by {who}: {len(let_through)} let through by weak sandboxes, "
    return f"{line}{len(succeeded)} by real ones"


def summary(config: pytest.Config) -> list[str]:
    """Lines for the end of the run."""
    return config.stash.setdefault(_SUMMARY, [])


def count_attack(config: pytest.Config, caller: Caller, step: Literal["tried", "refused"]) -> None:
    """Count an attack by a client, when it begins and when it has proved nothing but its refusal."""
    config.stash.setdefault(_CLIENT_ATTACKS, {}).setdefault(caller, Counter())[step] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many attacks there were."""
    for line in config.stash.get(_SUMMARY, []):
        terminalreporter.write_line(line)
    for caller, counts in config.stash.get(_CLIENT_ATTACKS, {}).items():
        name = " in the name of root" if caller == "root" else ""
        line = f"{counts['tried']} attacks by clients{name}: {counts['refused']} worked on a naive server "
        terminalreporter.write_line(f"{line}and were refused by the real one")
