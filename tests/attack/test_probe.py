"""An agent that attacks: each attempt gets through where a sandbox is weak, and nowhere else."""

import pytest

from tests.attack.arena import Arena
from tests.attack.marks import ATTACKS
from tests.attack.probe import ATTEMPTS
from tests.attack.verdicts import Verdict

pytestmark = ATTACKS


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_weak_sandbox_lets_the_attempt_through_and_a_real_one_refuses_it(
    name: str, controls: dict[str, Verdict], verdicts: dict[str, Verdict]
) -> None:
    control = controls[name]
    assert control.state == "succeeded", f"the attempt does not work, so its refusal says nothing: {control}"
    verdict = verdicts[name]
    assert verdict.state == "refused", verdict
    assert verdict.reason in ATTEMPTS[name].refusals, verdict
    assert not verdict.harm, verdict


def test_the_sandbox_reaches_the_internet_so_that_what_it_does_not_reach_is_refused(arena: Arena) -> None:
    host, port = arena.world.places()["internet"][0]
    script = f"import socket; print(socket.create_connection(('{host}', {port}), 5).recv(64))"
    with arena.world.host.entered():
        assert "castari stand-in" in arena.attacker.commands.run(f'python3 -c "{script}"').stdout
