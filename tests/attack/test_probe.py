"""An agent that attacks: each attempt gets through where a sandbox is weak, and nowhere else."""

import pytest

from tests.attack.arena import Arena
from tests.attack.marks import ATTACKS
from tests.attack.probe import ATTEMPTS, attempts_of
from tests.attack.verdicts import Verdict

pytestmark = ATTACKS


ROOT_ATTEMPTS = attempts_of("root")
PERMITTED = [name for name, each in ROOT_ATTEMPTS.items() if each.permitted_to_root]


@pytest.mark.parametrize("name", attempts_of("user"))
def test_a_weak_sandbox_lets_the_attempt_through_and_a_real_one_refuses_it(
    name: str, controls: dict[str, Verdict], verdicts: dict[str, Verdict]
) -> None:
    check_control(controls[name])
    check_refusal(verdicts[name], ATTEMPTS[name].refusals_to("user"))


@pytest.mark.parametrize("name", [name for name in ROOT_ATTEMPTS if name not in PERMITTED])
def test_a_weak_sandbox_lets_the_attempt_through_and_a_real_one_refuses_it_to_its_root(
    name: str, controls: dict[str, Verdict], verdicts_of_root: dict[str, Verdict]
) -> None:
    check_control(controls[name])
    check_refusal(verdicts_of_root[name], ATTEMPTS[name].refusals_to("root"))


@pytest.mark.parametrize("name", PERMITTED)
def test_root_of_a_sandbox_may_do_in_its_own_what_harms_nobody_else(
    name: str, verdicts_of_root: dict[str, Verdict]
) -> None:
    verdict = verdicts_of_root[name]
    assert verdict.state == "succeeded", f"no longer permitted, so say what refuses it: {verdict}"
    assert not verdict.harm, verdict


def check_control(control: Verdict) -> None:
    """Hold that the attempt works where it should."""
    assert control.state == "succeeded", f"the attempt does not work, so its refusal says nothing: {control}"


def check_refusal(verdict: Verdict, refusals: frozenset[str]) -> None:
    """Hold that it was refused for a right reason, and that nobody suffered from it."""
    assert verdict.state == "refused", verdict
    assert verdict.reason in refusals, verdict
    assert not verdict.harm, verdict


def test_the_sandbox_reaches_the_internet_so_that_what_it_does_not_reach_is_refused(arena: Arena) -> None:
    host, port = arena.world.places()["internet"][0]
    script = f"import socket; print(socket.create_connection(('{host}', {port}), 5).recv(64))"
    with arena.world.host.entered():
        assert "castari stand-in" in arena.attackers["user"].commands.run(f'python3 -c "{script}"').stdout
