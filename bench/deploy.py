"""How long a user waits for a deploy, first, changed and the same; for a rollback; and how `hello` starts."""

import secrets

from bench.agents import HELLO, BenchAgent, bench_agent, pack
from bench.bare import node_exits
from bench.hello_start import measure_start
from bench.node import sandbox_node
from bench.report import Report
from bench.stack import running_stack

FIRST_DEPLOYS = 3
REDEPLOYS = 3


def measure(report: Report) -> None:
    """Deploy `hello` as fresh agents, then each again with the same lockfile, the same bundle, and back.

    `deploy_bare_ms` is bare `node -e 0` beside them.
    """
    node = sandbox_node()
    with running_stack() as stack:
        for _ in range(FIRST_DEPLOYS):
            with bench_agent(stack, HELLO) as agent:
                with report.timed("deploy_bare_ms"):
                    node_exits(node)
                with report.timed("deploy_first_s"):
                    agent.deploy(pack(HELLO, secrets.token_hex(8)))
                for _ in range(REDEPLOYS):
                    with report.timed("deploy_bare_ms"):
                        node_exits(node)
                    _redeploy(agent, report)
        with bench_agent(stack, HELLO) as agent:
            agent.deploy(pack(HELLO))
            measure_start(agent, report)
    deploys = ("deploy_first_s", "deploy_same_lock_s", "deploy_same_bundle_s", "rollback_ms")
    report.beside("deploy_bare_ms", *deploys)
    report.ratio("redeploy_over_first", "deploy_same_lock_s", "deploy_first_s")


def _redeploy(agent: BenchAgent, report: Report) -> None:
    before = agent.row()["active_version"]
    bundle = pack(HELLO, secrets.token_hex(8))
    with report.timed("deploy_same_lock_s"):
        agent.deploy(bundle)
    with report.timed("deploy_same_bundle_s"):
        agent.deploy(bundle)
    with report.timed("rollback_ms"):
        agent.roll_back(before)
    agent.invoke("rolled back")
