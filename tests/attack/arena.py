"""Where attacks on the real thing happen: a server in a world of its own, an attacker and a neighbour."""

import json
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast, get_args

import httpx
import psutil
from e2b import Sandbox, Template

from local.sandboxes import rootfs
from local.sandboxes.definition import load_definition
from tests.attack.packing import pack_probe
from tests.attack.probe import Caller
from tests.attack.probe.targets import Limits, Target
from tests.attack.serve import API_KEY, LIMITS
from tests.attack.verdicts import Verdict, read_verdicts
from tests.attack.world import INTERNET, SERVICE_PORT, World, a_world

HOME = "/home/user"
CALLERS: tuple[Caller, ...] = get_args(Caller)
_SUDO = "sudo"
_HERE = Path(__file__).parent
_READY_SECONDS = 300.0
"""The first start on a machine builds the root filesystem."""

PROBE_LIMITS = Limits(
    pids=LIMITS.pids,
    memory_mb=LIMITS.memory_mb,
    disk_mb=LIMITS.disk_mb,
    open_files=LIMITS.open_files,
    files=200_000,
    inotify_instances=1024,
    wide_pipes=1024,
    pending_signals=200_000,
)


@dataclass(frozen=True)
class Server:
    """A sandbox server that runs in the world's host."""

    url: str
    process: psutil.Process

    @property
    def port(self) -> int:
        """The port of its one address, 127.0.0.1."""
        return int(self.url.rpartition(":")[2])

    def create(self, caller: Caller = "user") -> Sandbox:
        """Make a sandbox, one whose users may become root if root is to call; the caller kills it."""
        template = _SUDO if caller == "root" else "base"
        return Sandbox.create(template, timeout=600, api_key=API_KEY, api_url=self.url, sandbox_url=self.url)

    def build_sudo_template(self) -> None:
        """Build the template in which users may become root, with the limits of all others."""
        Template.build(Template().from_base_image(), _SUDO, api_key=API_KEY, api_url=self.url)

    def answers(self) -> bool:
        """Whether it tells that it is well, soon."""
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


@dataclass(frozen=True)
class Arena:
    """Everything that an attack needs, and those whom it must not harm."""

    world: World
    server: Server
    attackers: dict[Caller, Sandbox]
    neighbour: Sandbox
    folder: Path

    def look_around(self, state: str) -> str:
        """Tell what the neighbour and the server suffer; nothing is the empty string.

        A glance after each attempt, and a thorough look while one holds on.
        """
        if not self.server.answers():
            return "the server does not answer"
        if state == "holding":
            return self.heartbeat()
        return "" if self.neighbour.files.exists(f"{HOME}/heartbeat.py") else "the neighbour's file is gone"

    def heartbeat(self) -> str:
        """Let the neighbour try what every program needs; what fails is told."""
        return self.neighbour.commands.run(f"python3 -I -S {HOME}/heartbeat.py", timeout=20).stdout.strip()

    def attack(self, caller: Caller, names: list[str]) -> dict[str, Verdict]:
        """Let an attacker try the named attempts, looking around after each and while it holds on."""
        with self.world.host.entered():
            command = ["python3", "-I", f"{HOME}/probe.pyz", "run", self.target().to_json(), *names]
            handle = self.attackers[caller].commands.run(
                shlex.join(command), user=caller, background=True, stdin=True, timeout=0
            )
            lines = _lines(chunk for chunk, _, _ in handle if chunk)
            return read_verdicts(lines, lambda: handle.send_stdin("\n"), self.look_around)

    def target(self) -> Target:
        """What the probe is to aim at."""
        relatives = [self.server.process, *self.server.process.children(recursive=True)]
        sockets = [path for path in Path("/run").glob("castari-*/*") if path.is_socket()]
        places = self.world.places()
        places["neighbour"] = ((address_of(self.neighbour), SERVICE_PORT),)
        places["control_api"] = (("127.0.0.1", self.server.port),)
        places["loopback"] = (*places["loopback"], *places["control_api"])
        return Target(
            host_file=str(self.folder / "host-file"),
            foreign_pids=tuple(each.pid for each in relatives),
            foreign_sockets=tuple(map(str, sockets)),
            places=places,
            limits=PROBE_LIMITS,
        )


@contextmanager
def an_arena(folder: Path, tag: str) -> Iterator[Arena]:
    """Set everything up, and take it down again."""
    folder.chmod(0o755)
    (folder / "host-file").write_text("a secret of the host\n")
    with ExitStack() as stack:
        world = stack.enter_context(a_world(tag))
        server = stack.enter_context(a_server(world, folder / "state", tag))
        with world.host.entered():
            server.build_sudo_template()
            attackers = {caller: server.create(caller) for caller in CALLERS}
            neighbour = server.create()
            _furnish(attackers.values(), neighbour, pack_probe(folder / "probe.pyz"))
        # The server's end is the sandboxes' end.
        yield Arena(world, server, attackers, neighbour, folder)


def _furnish(attackers: Iterable[Sandbox], neighbour: Sandbox, probe: Path) -> None:
    for attacker in attackers:
        attacker.files.write(f"{HOME}/probe.pyz", probe.read_bytes())
    for name in ("heartbeat.py", "stand_in.py"):
        neighbour.files.write(f"{HOME}/{name}", (_HERE / name).read_text())
    listen_in(neighbour)


@contextmanager
def a_server(world: World, state: Path, tag: str) -> Iterator[Server]:
    """Run a server on the loopback of the world's host."""
    # Here and not in the server: where it runs, no package registry is in reach.
    rootfs.build(load_definition(), rootfs.CACHE)
    state.mkdir()
    command = (*world.host.enter_command, sys.executable, "-m", "tests.attack.serve", str(state))
    with (state / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, tag, INTERNET], cwd=_HERE.parents[1], stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        try:
            yield Server(_ready(cast("IO[str]", process.stdout), state / "log"), psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def listen_in(sandbox: Sandbox) -> None:
    """Let a stand-in greet in a sandbox, on every address that it has."""
    handle = sandbox.commands.run(f"python3 -I {HOME}/stand_in.py {SERVICE_PORT}", background=True, timeout=0)
    assert next(_lines(chunk for chunk, _, _ in handle if chunk)) == "ready"
    handle.disconnect()


def address_of(sandbox: Sandbox) -> str:
    """The address of a sandbox's one interface."""
    return sandbox.commands.run("hostname -I").stdout.split()[0]


def _lines(chunks: Iterator[str]) -> Iterator[str]:
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole


def _ready(stdout: IO[str], log: Path) -> str:
    readable, _, _ = select.select([stdout], [], [], _READY_SECONDS)
    line = stdout.readline() if readable else ""
    assert line, f"the server did not become ready:\n{log.read_text()[-2000:]}"
    told: dict[str, Any] = json.loads(line)
    return str(told["url"])
