"""How long a user waits from upload to `active`: a first deploy, another source, the same bundle."""

import secrets

from bench.agents import HELLO, bench_agent, pack
from bench.report import Report
from bench.stack import running_stack

FIRST_DEPLOYS = 3
REDEPLOYS = 3


def measure(report: Report) -> None:
    """Deploy `hello` as fresh agents, then each again with the same lockfile and with the same bundle."""
    with running_stack() as stack:
        for _ in range(FIRST_DEPLOYS):
            with bench_agent(stack, HELLO) as agent:
                with report.timed("deploy_first_s"):
                    agent.deploy(pack(HELLO, secrets.token_hex(8)))
                for _ in range(REDEPLOYS):
                    bundle = pack(HELLO, secrets.token_hex(8))
                    with report.timed("deploy_same_lock_s"):
                        agent.deploy(bundle)
                    with report.timed("deploy_same_bundle_s"):
                        agent.deploy(bundle)
    report.ratio("redeploy_over_first", "deploy_same_lock_s", "deploy_first_s")
    report.leave_out("rollback_ms", "there is no rollback yet")
