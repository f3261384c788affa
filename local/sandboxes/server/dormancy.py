"""A sandbox of which only the disk is kept: nothing of it runs, and it starts anew from a layer."""

from dataclasses import replace
from pathlib import Path

from local.sandboxes.engine import (
    DeathCause,
    Engine,
    EngineError,
    NetworkPolicy,
    OnRefused,
    SandboxSpec,
    Usage,
)
from local.sandboxes.processes.service import Processes
from local.sandboxes.server.creation import follow, start_guest
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.sandbox import Sandbox

_ASLEEP = "only its disk is kept: connect to the sandbox first"


class DormantGuest:
    """What stands for a sandbox's processes while there are none. `spec` is what it will start from."""

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec
        self.envd_socket = Path("/nonexistent")

    @property
    def processes(self) -> Processes:
        """Refuse: nothing runs."""
        raise EngineError(_ASLEEP)

    async def kill(self) -> None:
        """Do nothing: nothing runs."""

    async def pause(self) -> None:
        """Do nothing: nothing runs."""

    async def resume(self) -> None:
        """Refuse: there is nothing to run on."""
        raise EngineError(_ASLEEP)

    async def snapshot(self, layer_id: str) -> None:
        """Refuse: nothing was written since the layer that it has."""
        raise EngineError(f"no layer {layer_id!r}: {_ASLEEP}")

    async def set_network(self, policy: NetworkPolicy) -> None:
        """Remember it for the start."""
        self.spec = replace(self.spec, network=policy)

    def on_refused(self, tell: OnRefused) -> None:
        """Do nothing: nothing connects."""

    async def usage(self) -> Usage:
        """Refuse: nothing is used that could be measured."""
        raise EngineError(_ASLEEP)

    async def wait(self) -> DeathCause:
        """Refuse: what does not live does not die."""
        raise EngineError(_ASLEEP)


async def put_to_sleep(sandbox: Sandbox, layers: Layers) -> None:
    """Keep a frozen sandbox's disk as a layer, and end its processes. After `ApiError` it is still frozen."""
    awake = sandbox.guest
    async with layers.fork_of(sandbox) as template:
        sandbox.guest = DormantGuest(replace(awake.spec, layers=template.layers))
    await awake.kill()


async def wake_up(sandbox: Sandbox, engine: Engine) -> None:
    """Start it from its disk, with its environment and network. After an `ApiError` it sleeps on."""
    runtime = sandbox.template.runtime
    guest, sandbox.upstream = await start_guest(engine, sandbox.guest.spec, runtime, sandbox.request.env_vars)
    sandbox.guest = guest
    sandbox.history.follow(guest)
    follow(guest, sandbox.journal)
