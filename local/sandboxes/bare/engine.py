"""BareEngine: envd as a plain process with a home of its own. Everything else it shares with the host."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

from local.sandboxes.bare.tree import ProcessTree
from local.sandboxes.engine import (
    BASE_LAYER,
    DeathCause,
    EngineError,
    NetworkPolicy,
    OnRefused,
    SandboxSpec,
    Usage,
)
from local.sandboxes.processes.service import Processes
from local.sandboxes.processes.streams import Terminal

_REPOSITORY = Path(__file__).parents[3]


def _open_terminal() -> Terminal:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    return ours, theirs


class BareSandbox:
    """A daemon on the host."""

    def __init__(
        self, spec: SandboxSpec, directory: Path, layers: Path, pid: int, control: socket.socket
    ) -> None:
        self._spec, self._directory, self._layers = spec, directory, layers
        self._tree = ProcessTree(pid)
        self._processes = Processes(control, os.getuid(), _open_terminal)
        self._killed = False
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._tree.pidfd, self._end)

    @property
    def spec(self) -> SandboxSpec:
        """What it was made from."""
        return self._spec

    @property
    def envd_socket(self) -> Path:
        """Its daemon's socket."""
        return self._directory / "envd"

    @property
    def processes(self) -> Processes:
        """What its clients run in it."""
        return self._processes

    async def kill(self) -> None:
        """End its processes and remove its home."""
        self._killed = True
        if not self._ended.is_set():
            self._tree.kill()
        await self._ended.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def pause(self) -> None:
        """Stop its processes."""
        self._tree.send(signal.SIGSTOP)

    async def resume(self) -> None:
        """Let them run on."""
        self._tree.send(signal.SIGCONT)

    async def snapshot(self, layer_id: str) -> None:
        """Copy its home."""
        shutil.copytree(self._directory / "home", self._layers / layer_id, symlinks=True)

    async def set_network(self, policy: NetworkPolicy) -> None:
        """Do nothing: it has the host's network."""

    def on_refused(self, tell: OnRefused) -> None:
        """Do nothing: it is kept from nowhere."""

    async def usage(self) -> Usage:
        """Add up its processes and files."""
        memory, cpu_ns, processes = self._tree.usage()
        sizes = (path.lstat().st_size for path in (self._directory / "home").rglob("*"))
        return Usage(memory, cpu_ns, sum(sizes), processes)

    async def wait(self) -> DeathCause:
        """Wait until its daemon is gone."""
        await self._ended.wait()
        return "killed" if self._killed else "exited"

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._tree.pidfd)
        os.close(self._tree.pidfd)
        self._processes.close()
        self._ended.set()


class BareEngine:
    """Makes sandboxes that isolate nothing. Only for benches and tests of the server itself."""

    def __init__(self, state_dir: Path) -> None:
        self._layers = state_dir / "layers"
        self._sandboxes: dict[str, BareSandbox] = {}
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start the process that forks daemons."""
        self._layers.mkdir(parents=True, exist_ok=True)
        # The paths of Unix sockets must be short, so this is not below the state directory.
        self._run_dir = Path(tempfile.mkdtemp(prefix="castari-bare-"))
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        with theirs:
            self._forker = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "local.sandboxes.bare.forker", str(theirs.fileno()), str(self._run_dir)),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_REPOSITORY)},
            )

    @property
    def prepared(self) -> int:
        """None: a fork needs no preparation."""
        return 0

    async def create(self, spec: SandboxSpec) -> BareSandbox:
        """Fork a daemon with a home that is a copy of the topmost layer."""
        directory = self._run_dir / spec.sandbox_id
        directory.mkdir()
        home = directory / "home"
        if spec.layers[0] == BASE_LAYER:
            home.mkdir()
        else:
            shutil.copytree(self._layers / spec.layers[0], home, symlinks=True)
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = await self._fork({"socket": str(directory / "envd"), "home": str(home)}, theirs)
        sandbox = BareSandbox(spec, directory, self._layers, pid, control)
        self._sandboxes[spec.sandbox_id] = sandbox
        return sandbox

    async def delete_layer(self, layer_id: str) -> None:
        """Delete a layer; sandboxes have copies."""
        shutil.rmtree(self._layers / layer_id)

    def layers(self) -> frozenset[str]:
        """The layers on disk."""
        return frozenset({BASE_LAYER, *(path.name for path in self._layers.iterdir())})

    async def close(self) -> None:
        """End all sandboxes and the forking process."""
        for sandbox in self._sandboxes.values():
            await sandbox.kill()
        # Without us it removes the directory and goes, also when this server was killed.
        self._channel.close()
        await self._forker.wait()

    async def _fork(self, request: dict[str, str], control: socket.socket) -> int:
        async with self._turn:
            try:
                socket.send_fds(self._channel, [json.dumps(request).encode()], [control.fileno()])
                answer = await asyncio.get_running_loop().sock_recv(self._channel, 64)
            except OSError:
                answer = b""
        if not answer:
            raise EngineError("the forking process is gone: restart the server")
        return int(answer)
