"""Runs the namespace engine for tests, and commands in its sandboxes, without the server between."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local.sandboxes.definition import load_definition
from local.sandboxes.engine import EngineSandbox
from local.sandboxes.envd.connect import FRAME_HEADER_BYTES
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.inventory import Inventory, take_inventory
from local.sandboxes.namespaces.settings import EngineSettings
from local.sandboxes.processes.start_request import ProcessConfig, StartRequest
from local.sandboxes.rootfs import CACHE, build

INSTANCE = f"t{secrets.token_hex(3)}"
"""One for each test process: two engines of one name cannot run on a host."""


@dataclass(frozen=True)
class Ended:
    """How a command ended. `exit_code` is -1 after a signal."""

    exit_code: int
    output: str


def settings(state: Path, *, pool_size: int = 2, relay_port: int | None = None) -> EngineSettings:
    """Settings of a small engine that keeps its disk in `state`. Builds the root filesystem if need be."""
    root = build(load_definition(), CACHE)
    return EngineSettings(INSTANCE, state, root, pool_size=pool_size, disk_gb=8, relay_port=relay_port)


@asynccontextmanager
async def running(chosen: EngineSettings) -> AsyncIterator[NamespaceEngine]:
    """Run an engine, and see that nothing of it is left afterwards."""
    engine = NamespaceEngine(chosen)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
    assert take_inventory(chosen.instance) == nothing()


def nothing() -> Inventory:
    """The inventory of an instance that left no trace."""
    names = Inventory.__dataclass_fields__
    return Inventory(**dict.fromkeys(names, 0))


async def eventually(condition: Callable[[], bool]) -> bool:
    """Tell whether something becomes true: the kernel clears some things away a moment later."""
    for _ in range(1000):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def run(sandbox: EngineSandbox, command: str, *, seconds: float = 60) -> Ended:
    """Run a shell command as the agents' user and return its output, both streams in one."""
    config = ProcessConfig("/bin/bash", ("-c", f"exec 2>&1; {command}"))
    process, listener = await sandbox.processes.start(StartRequest(config, stdin=False), "", seconds)
    output = b""
    async for frame in listener.frames(seconds):
        event = json.loads(frame[FRAME_HEADER_BYTES:])["event"]
        output += b"".join(base64.b64decode(chunk) for chunk in event.get("data", {}).values())
    return Ended(process.exit_code, output.decode(errors="replace"))


async def run_python(sandbox: EngineSandbox, code: str, *arguments: str, seconds: float = 60) -> Ended:
    """Run Python code as the agents' user."""
    encoded = base64.b64encode(code.encode()).decode()
    words = " ".join(f"'{each}'" for each in arguments)
    return await run(sandbox, f'python3 -c "$(echo {encoded} | base64 -d)" {words}', seconds=seconds)
