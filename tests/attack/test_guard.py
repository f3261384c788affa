"""What the attack probe and the neighbour's heartbeat must do wherever they run, before they are trusted."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack.packing import pack_probe
from tests.attack.probe import ATTEMPTS
from tests.attack.probe.guard import IDENTITY, INITIAL_USER_NAMESPACE, NotASandboxError, check_sandboxed

AT_LEAST = 60


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
