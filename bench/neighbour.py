"""What a neighbour of an attacker waits for, beside what it waits for next to a harmless busy sandbox.

The attacker tries all that the attack probe knows, but for attempts that aim at addresses: those need
stand-ins in network namespaces, which the attack tests have and a bench has not.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from e2b import Sandbox

from bench.report import Report, percentile
from bench.sandbox_server import sandbox_server
from local.sandboxes.definition import load_definition
from tests.attack.packing import pack_probe
from tests.attack.probe import ATTEMPTS
from tests.attack.probe.targets import Limits, Target

ROUNDS = 20
CALLS = 30
"""In each round beside each of the two."""

_PROBE = "/home/user/probe.pyz"
_WITH_ADDRESSES = ("network", "spoofing")


def measure(report: Report) -> None:
    """Alternate between the two, so that both sides see the same machine."""
    if os.geteuid() != 0:
        report.leave_out("neighbour", "isolation needs root: run `sudo make bench`")
        return
    with sandbox_server("namespaces", instance="bn", pool=2) as server:
        made = [server.e2b.Sandbox.create(timeout=600) for _ in range(3)]
        attacker, spinner, neighbour = made
        attacker.files.write(_PROBE, _probe())
        _begin(spinner, "for _ in 1 2; do python3 -c 'while True: pass' & done; wait")
        _begin(attacker, _attack())
        for _ in range(ROUNDS):
            with _running(spinner):
                _time_calls(neighbour, "beside_busy_ms", report)
            with _running(attacker):
                _time_calls(neighbour, "beside_attacker_ms", report)
        for sandbox in made:
            sandbox.kill()
    attacked, busy = (percentile(report.samples[f"beside_{who}_ms"], 0.99) for who in ("attacker", "busy"))
    report.ratios["neighbour_p99_attacker_over_busy"] = round(attacked / busy, 3)


def _begin(sandbox: Sandbox, command: str) -> None:
    """Start what goes on for ever, and stop it for now."""
    sandbox.commands.run(command, background=True, timeout=0).disconnect()
    sandbox.pause()


@contextmanager
def _running(sandbox: Sandbox) -> Iterator[None]:
    sandbox.connect(timeout=600)
    yield
    sandbox.pause()


def _time_calls(neighbour: Sandbox, name: str, report: Report) -> None:
    for _ in range(CALLS):
        with report.timed(name):
            neighbour.commands.run("true")


def _attack() -> str:
    """A command that attacks without end, held to the limits that a sandbox really has."""
    definition = load_definition()
    limits = Limits(
        pids=1024,
        memory_mb=definition.memory_mb,
        disk_mb=definition.disk_mb,
        open_files=65_536,
        files=200_000,
    )
    target = Target(host_file="/nowhere", limits=limits)
    names = [name for name, attempt in ATTEMPTS.items() if attempt.theme not in _WITH_ADDRESSES]
    once = shlex.join(["python3", "-I", _PROBE, "run", target.to_json(), *names])
    return f"while :; do {once} </dev/null >/dev/null 2>&1; done"


def _probe() -> bytes:
    with TemporaryDirectory() as folder:
        return pack_probe(Path(folder) / "probe.pyz").read_bytes()
