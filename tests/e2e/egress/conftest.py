"""An engine whose host lies between sandboxes and stand-ins, all in network namespaces of the test."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from local.sandboxes.engine import EngineSandbox, NetworkPolicy, SandboxSpec
from local.sandboxes.namespaces.engine import NamespaceEngine
from tests.attack.world import PRIVATE, World, remove_dead_worlds
from tests.e2e.egress.agent import PROBE
from tests.e2e.product.certificates import make_certificates
from tests.sandbox_engine import run_python, running, settings

GOOD, GOOD_SUB, EVIL, DNS, OTHER_DNS = (f"203.0.113.{last}" for last in (20, 21, 66, 53, 54))
SILENT = "203.0.113.99"
HOST = "198.51.100.1"
NAMES = {
    "good.example.com": GOOD,
    "api.deep.example.net": GOOD_SUB,
    "evil.example.org": EVIL,
    "inside.example.com": PRIVATE[0],
    "metadata.example.com": "169.254.169.254",
    "host.example.com": HOST,
    "silent.example.com": SILENT,
}
ALL = ("0.0.0.0/0",)


@dataclass(frozen=True)
class Internet:
    """The stand-ins."""

    process: "subprocess.Popen[str]"

    def asked(self) -> list[str]:
        """The names that anybody asked the name servers for."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n")
        stdin.flush()
        return cast("list[str]", json.loads(stdout.readline()))


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """The host's network and the outside's; this thread lives in the host's meanwhile."""
    remove_dead_worlds()
    made = World(f"e{os.getpid()}")
    try:
        made.connect()
        for address in (GOOD, GOOD_SUB, EVIL, DNS, OTHER_DNS):
            made.outside.ip("address", "add", f"{address}/32", "dev", "lo")
        made.outside.ip("route", "add", "prohibit", f"{SILENT}/32")
        with made.host.entered():
            yield made
    finally:
        made.host.remove()
        made.outside.remove()


@pytest.fixture(scope="package")
def internet(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    """Web and name servers outside."""
    certificate = tmp_path_factory.mktemp("certificate") / "server.pem"
    certificate.write_text(make_certificates(GOOD).server)
    program = [sys.executable, str(Path(__file__).with_name("hosts.py"))]
    arguments = [json.dumps(NAMES), str(certificate), GOOD, DNS, OTHER_DNS]
    with subprocess.Popen(
        [*world.outside.enter_command, *program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Internet(process)
        finally:
            process.kill()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def engine(
    internet: Internet, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[NamespaceEngine]:
    """An engine in the host's network. Afterwards nothing of it is left."""
    assert internet
    chosen = replace(settings(tmp_path_factory.mktemp("state")), nameservers=(DNS,))
    async with running(chosen) as started:
        yield started


@dataclass(frozen=True)
class Agent:
    """A sandbox, and an agent in it that tries to get somewhere."""

    sandbox: EngineSandbox

    async def tries(self, *calls: tuple[Any, ...]) -> list[Any]:
        """Run functions of the probe by name, and return what each found."""
        ended = await run_python(self.sandbox, PROBE, json.dumps(calls))
        assert ended.exit_code == 0, ended.output
        return cast("list[Any]", json.loads(ended.output))


@asynccontextmanager
async def an_agent(engine: NamespaceEngine, policy: NetworkPolicy | None = None) -> AsyncIterator[Agent]:
    """Run an agent under a policy."""
    sandbox = await engine.create(SandboxSpec("agent", network=policy or NetworkPolicy()))
    try:
        yield Agent(sandbox)
    finally:
        await sandbox.kill()
