"""Runs the namespace engine for tests, and commands in its sandboxes, without the server between."""

import asyncio
import base64
import json
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from local.sandboxes.definition import load_definition
from local.sandboxes.engine import EngineSandbox
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.inventory import Inventory, take_inventory
from local.sandboxes.namespaces.settings import EngineSettings
from local.sandboxes.rootfs import CACHE, build

INSTANCE = f"t{secrets.token_hex(3)}"
"""One for each test process: two engines of one name cannot run on a host."""

_FRAME = struct.Struct(">BI")


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
    connector = aiohttp.UnixConnector(str(sandbox.envd_socket))
    process = {"cmd": "/bin/bash", "args": ["-c", f"exec 2>&1; {command}"], "envs": {}}
    message = json.dumps({"process": process, "stdin": False}).encode()
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.post(
            "http://sandbox/process.Process/Start",
            data=_FRAME.pack(0, len(message)) + message,
            headers={
                "Content-Type": "application/connect+json",
                "Connect-Protocol-Version": "1",
                "Connect-Timeout-Ms": str(int(seconds * 1000)),
            },
        )
        return _ended(await answer.read())


async def run_python(sandbox: EngineSandbox, code: str, *arguments: str, seconds: float = 60) -> Ended:
    """Run Python code as the agents' user."""
    encoded = base64.b64encode(code.encode()).decode()
    words = " ".join(f"'{each}'" for each in arguments)
    return await run(sandbox, f'python3 -c "$(echo {encoded} | base64 -d)" {words}', seconds=seconds)


def _ended(stream: bytes) -> Ended:
    output, position = b"", 0
    while position < len(stream):
        _, size = _FRAME.unpack_from(stream, position)
        position += _FRAME.size
        message = json.loads(stream[position : position + size])
        position += size
        event = message.get("event", {})
        output += b"".join(base64.b64decode(chunk) for chunk in event.get("data", {}).values())
        if "end" in event:
            return Ended(event["end"].get("exitCode", 0), output.decode(errors="replace"))
    raise AssertionError(f"the command did not end by itself: {stream[-500:]!r}")
