"""The local stack as a whole: up, up again, changed, crashed, down, and nothing left."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import environment, processes, stack
from local.places import REPOSITORY, Places
from local.sandboxes.namespaces import instances
from local.sandboxes.namespaces.inventory import take_inventory
from local.sandboxes.namespaces.network import gateway_of

pytestmark = pytest.mark.root

_COPIED = ("base_template", "functions", "layers", "local")
_CALLERS_OWN = "A_VARIABLE_OF_THE_CALLER"


class Clone:
    """A copy of the repository with a stack of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = Places(root / ".local")
        for folder in _COPIED:
            shutil.copytree(
                REPOSITORY / folder,
                root / folder,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
            )
        for file in ("template.yaml", "requirements.lock"):
            shutil.copy(REPOSITORY / file, root / file)

    @property
    def instance(self) -> str:
        return stack.instance_of(self.places)

    def run(self, command: str, *, ok: bool = True) -> str:
        """Run `python -m local.stack` and return what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "local.stack", command],
            cwd=self.root,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (ran.returncode == 0) == ok, ran.stdout
        return ran.stdout

    def get(self, path: str) -> str:
        """Return the body of a GET on the API."""
        url = environment.read(self.places.environment)["CASTARI_API_URL"] + path
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
            text: str = answer.read().decode()
        return text

    def left(self) -> dict[str, int]:
        """Count what the stack has on this host."""
        return {
            "on the host": take_inventory(self.instance).total,
            "processes": len(list(processes.marked(self.places.root))),
            "addresses": _addresses().count(self.relay_address),
            "secrets": sum(path.exists() for path in (self.places.environment, self.places.identity)),
        }

    relay_address = "not yet known"


def _environment() -> dict[str, str]:
    private = ("AWS_", "CASTARI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(private)} | {
        _CALLERS_OWN: "1"
    }


def _addresses() -> str:
    command = ["ip", "-brief", "address", "show", "lo"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone(tmp_path_factory.mktemp("clone"))
    try:
        made.run("up")
        variables = environment.read(made.places.environment)
        made.relay_address = variables["CASTARI_RELAY_URL"].removeprefix("http://").partition(":")[0]
        yield made
    finally:
        made.run("down")
        shutil.rmtree(made.root)


def test_the_env_file_has_all_that_clients_need_and_is_private(clone: Clone) -> None:
    file = clone.places.environment
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    variables = environment.read(file)
    assert variables.keys() >= {
        *("CASTARI_API_URL", "CASTARI_API_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "E2B_API_URL", "E2B_SANDBOX_URL", "E2B_API_KEY"),
    }
    assert all(variables.values())


def test_everything_listens_on_loopback_or_where_only_sandboxes_reach_it(clone: Clone) -> None:
    pids = {process.pid for process in processes.marked(clone.places.root)}
    listening = subprocess.run(["ss", "-Hltnp"], check=True, capture_output=True, text=True).stdout
    ours = [line.split()[3] for line in listening.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    assert ours
    subnet = instances.slice_of(clone.instance)
    assert subnet
    # On the gateway's address stands what lets sandboxes out by name.
    expected = {"127.0.0.1", clone.relay_address, gateway_of(subnet)}
    assert {address.rpartition(":")[0] for address in ours} <= expected


def test_functions_see_nothing_of_the_environment_that_the_stack_was_started_in(clone: Clone) -> None:
    relay, aws = (processes.find(name, clone.places.pids) for name in ("relay", "ministack"))
    assert relay
    assert aws
    for process in (relay, aws):
        assert _CALLERS_OWN not in Path(f"/proc/{process.pid}/environ").read_text()


def test_a_second_up_says_that_the_stack_is_up_and_keeps_its_keys(clone: Clone) -> None:
    before = clone.places.environment.read_text()
    assert "up already" in clone.run("up")
    assert clone.places.environment.read_text() == before


def test_up_takes_over_a_changed_function_without_a_restart(clone: Clone) -> None:
    aws = processes.find("ministack", clone.places.pids)
    app = clone.root / "functions" / "api" / "app.py"
    unchanged = app.read_text()
    app.write_text(
        'def handler(event, context):\n    print("{}")\n    return {"statusCode": 200, "body": "changed"}\n'
    )
    try:
        clone.run("up")
        assert clone.get("/api/v1/health") == "changed"
    finally:
        app.write_text(unchanged)
        clone.run("up")
    assert clone.get("/api/v1/health") != "changed"
    assert processes.find("ministack", clone.places.pids) == aws


def test_after_a_crash_of_everything_up_begins_anew(clone: Clone) -> None:
    before = environment.read(clone.places.environment)
    for process in list(processes.marked(clone.places.root)):
        if process.alive:
            os.kill(process.pid, signal.SIGKILL)
    clone.run("up")
    assert clone.get("/api/v1/health")
    after = environment.read(clone.places.environment)
    assert after["CASTARI_STACK_NAME"] != before["CASTARI_STACK_NAME"]
    assert after["AWS_SECRET_ACCESS_KEY"] != before["AWS_SECRET_ACCESS_KEY"]


@pytest.mark.parametrize("crashed", ["ministack", "sandboxes", "relay", "everything"])
def test_down_leaves_nothing_also_after_a_crash_of(clone: Clone, crashed: str) -> None:
    clone.run("up")
    for name in ("ministack", "sandboxes", "relay"):
        process = processes.find(name, clone.places.pids)
        assert process
        if crashed in (name, "everything"):
            os.kill(process.pid, signal.SIGKILL)
    clone.run("down")
    assert clone.left() == {"on the host": 0, "processes": 0, "addresses": 0, "secrets": 0}


def test_a_stack_that_does_not_come_up_leaves_nothing_and_says_why(clone: Clone) -> None:
    clone.run("down")
    template = clone.root / "template.yaml"
    whole = template.read_text()
    template.write_text(whole.replace("Type: AWS::SQS::QueuePolicy", "Type: AWS::SQS::NoSuchThing", 1))
    try:
        assert "NoSuchThing" in clone.run("up", ok=False)
    finally:
        template.write_text(whole)
    assert clone.left() == {"on the host": 0, "processes": 0, "addresses": 0, "secrets": 0}
