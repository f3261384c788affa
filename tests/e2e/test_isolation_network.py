"""Where a sandbox can connect to, seen from inside: out, and to nothing of the host or its neighbours.

Targets are listeners of these tests on this machine. What lies outside of it is refused by this
host's firewall before a packet leaves.
"""

import asyncio
import ipaddress
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from local.sandboxes.engine import EngineError, EngineSandbox, NetworkPolicy, SandboxSpec
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.settings import ADDRESS_RANGE, Names
from tests.sandbox_engine import INSTANCE, eventually, run, run_python, running, settings

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.asyncio(loop_scope="module"),
]

RELAY_PORT = 47_123
CONNECT = """
import errno, socket, sys
each = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
each.settimeout(5)
try:
    each.connect((sys.argv[1], int(sys.argv[2])))
    print(each.recv(100).decode())
except OSError as error:
    print("refused", errno.errorcode.get(error.errno or 0, repr(error)))
"""
REFUSED = {"EHOSTUNREACH", "ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"}
GREET = "import socket; s = socket.create_server(('', 8000)); c, _ = s.accept(); c.send(b'hello'); c.close()"
LISTEN = f'python3 -c "{GREET}" > /dev/null 2>&1 & until grep -q :1F40 /proc/net/tcp; do sleep 0.02; done'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NamespaceEngine]:
    async with running(settings(tmp_path_factory.mktemp("state"), relay_port=RELAY_PORT)) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(engine: NamespaceEngine) -> AsyncIterator[EngineSandbox]:
    made = await engine.create(SandboxSpec("one"))
    yield made
    await made.kill()


@asynccontextmanager
async def greeter(address: str, port: int = 0) -> AsyncIterator[int]:
    """Greet whoever connects to `address`, and tell the port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, address, port) as server:
        yield server.sockets[0].getsockname()[1]


async def connect(sandbox: EngineSandbox, address: str, port: int) -> str:
    return (await run_python(sandbox, CONNECT, address, str(port))).output.strip()


async def gateway_of(sandbox: EngineSandbox) -> str:
    code = (
        "import socket; fields = [line.split() for line in open('/proc/net/route')]; "
        "print(*[socket.inet_ntoa(bytes.fromhex(f[2])[::-1]) for f in fields if f[1] == '00000000'])"
    )
    return (await run_python(sandbox, code)).output.strip()


def host_addresses() -> list[str]:
    """The host's own addresses, without those of other sandbox servers, which come and go."""
    listed = json.loads(subprocess.check_output(["ip", "-json", "-4", "address", "show", "scope", "global"]))
    found = [each["local"] for link in listed for each in link["addr_info"] if each]
    return [each for each in found if ipaddress.IPv4Address(each) not in ADDRESS_RANGE]


def rules() -> str:
    return subprocess.check_output(["nft", "list", "table", "inet", Names(INSTANCE).table], text=True)


async def test_no_address_of_the_host_answers(sandbox: EngineSandbox) -> None:
    async with greeter("0.0.0.0") as port:  # noqa: S104 - the firewall is what is tested
        for address in {"127.0.0.1", await gateway_of(sandbox), *host_addresses()}:
            reader, writer = await asyncio.open_connection(address, port)
            assert await reader.read() == b"hello"  # The host itself does reach it.
            writer.close()
            assert (await connect(sandbox, address, port)).removeprefix("refused ") in REFUSED


async def test_the_relay_is_the_one_port_of_the_host_that_answers(
    sandbox: EngineSandbox, engine: NamespaceEngine
) -> None:
    async with greeter(engine.relay_address, RELAY_PORT):
        assert await connect(sandbox, engine.relay_address, RELAY_PORT) == "hello"
    async with greeter(engine.relay_address) as other:
        assert (await connect(sandbox, engine.relay_address, other)).removeprefix("refused ") in REFUSED


async def test_a_neighbour_does_not_answer(sandbox: EngineSandbox, engine: NamespaceEngine) -> None:
    neighbour = await engine.create(SandboxSpec("neighbour"))
    await run(neighbour, LISTEN)
    address = (await run(neighbour, "hostname -I")).output.strip()
    assert (await connect(sandbox, address, 8000)).removeprefix("refused ") in REFUSED
    assert await connect(neighbour, address, 8000) == "hello"  # To itself it does.
    await neighbour.kill()


async def test_nothing_of_the_host_connects_to_a_sandbox(sandbox: EngineSandbox) -> None:
    await run(sandbox, LISTEN)
    address = (await run(sandbox, "hostname -I")).output.strip()
    with pytest.raises((TimeoutError, OSError)):
        async with asyncio.timeout(1):
            await asyncio.open_connection(address, 8000)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.127.0.1", "0.0.0.0", "224.0.0.1"],  # noqa: S104
)
async def test_private_and_link_local_addresses_are_refused_by_this_host(
    sandbox: EngineSandbox, address: str
) -> None:
    assert (await connect(sandbox, address, 80)).removeprefix("refused ") in REFUSED


@pytest.mark.parametrize("address", ["::1", "fd00::1", "2001:db8::1"])
async def test_there_is_no_ipv6(sandbox: EngineSandbox, address: str) -> None:
    assert (await connect(sandbox, address, 80)).removeprefix("refused ") in REFUSED


async def test_a_package_installs_from_its_registry(sandbox: EngineSandbox) -> None:
    ended = await run(sandbox, "mkdir -p ~/app && cd ~/app && npm install --no-audit --no-fund is-odd")
    assert ended.exit_code == 0, ended.output
    answer = await run(sandbox, """cd ~/app && node -e 'console.log(require("is-odd")(3))'""")
    assert answer.output == "true\n"


async def test_without_internet_nothing_is_reachable_not_even_names(engine: NamespaceEngine) -> None:
    made = await engine.create(SandboxSpec("offline", network=NetworkPolicy(allow_internet=False)))
    async with greeter(engine.relay_address, RELAY_PORT):
        assert (await connect(made, engine.relay_address, RELAY_PORT)).removeprefix("refused ") in REFUSED
    assert (await run(made, "npm ping --fetch-retries=0", seconds=100)).exit_code != 0
    await made.kill()


async def test_an_allowed_address_is_reached_though_all_else_is_denied(engine: NamespaceEngine) -> None:
    policy = NetworkPolicy(allow_out=(f"{engine.relay_address}/32",), deny_out=("0.0.0.0/0",))
    made = await engine.create(SandboxSpec("some", network=policy))
    async with greeter(engine.relay_address, RELAY_PORT):
        assert await connect(made, engine.relay_address, RELAY_PORT) == "hello"
    assert (await connect(made, "203.0.113.1", 80)).removeprefix("refused ") in REFUSED
    await made.kill()


async def test_allowing_a_private_address_does_not_open_the_host_or_its_networks(
    engine: NamespaceEngine,
) -> None:
    made = await engine.create(SandboxSpec("greedy", network=NetworkPolicy(allow_out=("0.0.0.0/0",))))
    assert (await connect(made, "10.0.0.1", 80)).removeprefix("refused ") in REFUSED
    async with greeter("0.0.0.0") as port:  # noqa: S104 - as above
        assert (await connect(made, await gateway_of(made), port)).removeprefix("refused ") in REFUSED
    await made.kill()


async def test_the_rules_of_a_sandbox_end_with_it(engine: NamespaceEngine) -> None:
    made = await engine.create(SandboxSpec("ruled", network=NetworkPolicy(deny_out=("198.51.100.0/24",))))
    assert "198.51.100.0/24" in rules()
    await made.kill()
    assert await eventually(lambda: "198.51.100.0/24" not in rules())


async def test_an_egress_rule_that_is_no_address_is_refused_with_a_reason(engine: NamespaceEngine) -> None:
    with pytest.raises(EngineError, match="use an IPv4 address or CIDR block"):
        await engine.create(SandboxSpec("wrong", network=NetworkPolicy(deny_out=("nonsense",))))
