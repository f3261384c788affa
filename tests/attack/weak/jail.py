"""Runs the probe in a sandbox that is weak on purpose, and collects its verdicts."""

import subprocess
import sys
from pathlib import Path

from tests.attack.namespace import run
from tests.attack.probe import Target
from tests.attack.probe.attempts import Weakness
from tests.attack.verdicts import Verdict, read_verdicts
from tests.attack.weak.plan import HOST_ID, IDS, Plan
from tests.attack.world import SERVICE_PORT, World, listeners

REPOSITORY = Path(__file__).parents[3]
_PYTHON = "/usr/bin/python3"
"""The host's own, which is in /usr and so can be shown to the sandbox."""

HOST_SOCKET = "/run/stand-in.sock"
"""Where the weak sandbox shows a socket that plays one of the host's."""

GATEWAY, ADDRESS = "10.200.0.1", "10.200.0.2"
GATEWAY6, ADDRESS6 = "fd00:200::1", "fd00:200::2"


def try_in_weak_sandbox(
    world: World, weakness: Weakness, names: list[str], target: Target, folder: Path
) -> dict[str, Verdict]:
    """Run the named attempts in a fresh weak sandbox that is joined to the world without a firewall."""
    place = folder / f"weak-{weakness}"
    place.mkdir()
    plan = Plan(
        weakness=weakness,
        place=str(place),
        probe=str(folder / "probe.pyz"),
        host_file=target.host_file,
        host_socket=HOST_SOCKET,
        command=(_PYTHON, "-I", "/home/user/probe.pyz", "run", target.to_json(), *names),
    )
    command = [sys.executable, "-m", "tests.attack.weak.init", plan.to_json()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, bufsize=1
    ) as jail:
        try:
            return _lead(jail, world)
        finally:
            jail.kill()


def _lead(jail: "subprocess.Popen[str]", world: World) -> dict[str, Verdict]:
    assert jail.stdin is not None
    assert jail.stdout is not None
    spoken = jail.stdin

    def say(word: str) -> None:
        spoken.write(word + "\n")
        spoken.flush()

    assert jail.stdout.readline() == "unshared\n"
    _map_ids(jail.pid)
    _join(jail.pid, world)
    with listeners(("nsenter", "--net", "--target", str(jail.pid)), SERVICE_PORT):
        say("mapped")
        return read_verdicts(jail.stdout, go_on=lambda: say(""), look_around=lambda _: "")


def _map_ids(pid: int) -> None:
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{kind}").write_text(f"0 {HOST_ID} {IDS}", encoding="utf-8")


def _join(pid: int, world: World) -> None:
    """Give the sandbox an interface whose other end is the world's host, which forwards everything."""
    inside = ("nsenter", "--net", "--target", str(pid), "ip")
    run(
        "ip",
        "link",
        "add",
        "weak0",
        "netns",
        world.host.name,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        str(pid),
    )
    world.host.ip("address", "add", f"{GATEWAY}/24", "dev", "weak0")
    world.host.ip("address", "add", f"{GATEWAY6}/64", "dev", "weak0", "nodad")
    world.host.ip("link", "set", "weak0", "up")
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        world.host.sysctl(setting, "1")
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "link", "set", "eth0", "up")
    run(*inside, "address", "add", f"{ADDRESS}/24", "dev", "eth0")
    run(*inside, "address", "add", f"{ADDRESS6}/64", "dev", "eth0", "nodad")
    run(*inside, "route", "add", "default", "via", GATEWAY)
    run(*inside, "-6", "route", "add", "default", "via", GATEWAY6)
