"""An agent that attacks: each attempt gets through where a sandbox is weak, and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack.arena import Arena
from tests.attack.packing import pack_probe
from tests.attack.probe import ATTEMPTS
from tests.attack.probe.guard import IDENTITY, INITIAL_USER_NAMESPACE, NotASandboxError, check_sandboxed
from tests.attack.verdicts import Verdict

AT_LEAST = 60
attack = pytest.mark.xdist_group("attack")


@attack
@pytest.mark.root
@pytest.mark.timeout(600)
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


@attack
@pytest.mark.root
def test_the_sandbox_reaches_the_internet_so_that_what_it_does_not_reach_is_refused(arena: Arena) -> None:
    host, port = arena.world.places()["internet"][0]
    script = f"import socket; print(socket.create_connection(('{host}', {port}), 5).recv(64))"
    with arena.world.host.entered():
        assert "castari stand-in" in arena.attacker.commands.run(f'python3 -c "{script}"').stdout


def test_there_are_at_least_sixty_attempts() -> None:
    assert len(ATTEMPTS) >= AT_LEAST


def test_the_probe_does_not_start_outside_a_sandbox(tmp_path: Path) -> None:
    probe = pack_probe(tmp_path / "probe.pyz")
    told = subprocess.run(
        [sys.executable, "-I", str(probe), "run", "{}", "mount_tmpfs"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 3
    assert "not a sandbox" in told.stderr


@pytest.mark.parametrize(
    ("namespace", "mapping"),
    [(INITIAL_USER_NAMESPACE, "0 1000 1"), ("user:[4026532000]", f"  {IDENTITY}\n"), (None, "0 1000 1")],
    ids=["in the first user namespace", "with every id mapped to itself", "where nothing can be told"],
)
def test_the_guard_takes_for_a_host_what_may_be_one(
    tmp_path: Path, namespace: str | None, mapping: str
) -> None:
    (tmp_path / "ns").mkdir()
    if namespace:
        (tmp_path / "ns" / "user").symlink_to(namespace)
    (tmp_path / "uid_map").write_text(mapping)
    with pytest.raises(NotASandboxError):
        check_sandboxed(tmp_path)


def test_the_guard_lets_the_probe_start_in_a_user_namespace_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "ns").mkdir()
    (tmp_path / "ns" / "user").symlink_to("user:[4026532000]")
    (tmp_path / "uid_map").write_text("0 1000 1")
    check_sandboxed(tmp_path)


def test_a_starved_neighbour_tells_what_it_lacks() -> None:
    heartbeat = Path(__file__).with_name("heartbeat.py")
    starving = ["prlimit", "--nofile=4", sys.executable, "-I", "-S", str(heartbeat)]
    told = subprocess.run(starving, capture_output=True, text=True, check=True).stdout
    assert "open_sockets: [Errno 24]" in told
