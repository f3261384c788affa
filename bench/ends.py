"""How long a sandbox lives on after its end was due: after a cancel, and after its agent's limit."""

from datetime import datetime
from time import time
from typing import Any

from e2b import SandboxQuery

from bench.agents import SLEEPER, BenchAgent, bench_agent, pack
from bench.report import Report
from bench.stack import Stack, running_stack, until

ROUNDS = 10
LIMIT_SECONDS = 2
_LONGER_SECONDS = 500


def measure(report: Report) -> None:
    """Measure `cancel_to_gone_ms`, and `timeout_overrun_ms` with nobody waiting when the limit comes."""
    with running_stack() as stack, bench_agent(stack, SLEEPER) as agent:
        agent.deploy(pack(SLEEPER))
        _overrun(stack, _invoked(agent, LIMIT_SECONDS, wait=0))  # starts the workers that will be needed
        for _ in range(ROUNDS):
            row = _running(stack, _invoked(agent, _LONGER_SECONDS, wait=0))
            with report.timed("cancel_to_gone_ms"):
                stack.call("DELETE", f"/agents/{agent.slug}/invocations/{row['invocation_id']}")
                _gone(stack, row)
            report.samples["timeout_overrun_ms"].append(
                _overrun(stack, _invoked(agent, LIMIT_SECONDS, wait=0))
            )


def _invoked(agent: BenchAgent, seconds: int, *, wait: int) -> str:
    """Return the id of an invocation that would take longer than its limit of `seconds`."""
    body = {"prompt": str(_LONGER_SECONDS), "timeout_seconds": seconds}
    answer = agent.stack.call("POST", f"/agents/{agent.slug}/invoke", json=body, params={"wait": wait})
    invocation_id: str = answer.json()["invocation_id"]
    return invocation_id


def _running(stack: Stack, invocation_id: str) -> dict[str, Any]:
    def row() -> dict[str, Any] | None:
        found = stack.table("INVOCATIONS").get_item(Key={"invocation_id": invocation_id})["Item"]
        return dict(found) if found["status"] == "running" and found.get("sandbox_id") else None

    return until(f"{invocation_id} to run", 60, row)


def _overrun(stack: Stack, invocation_id: str) -> float:
    """Return how many milliseconds after its agent's limit, counted from its claim, a sandbox was gone."""
    row = _running(stack, invocation_id)
    began = datetime.fromisoformat(row["started_at"]).timestamp()
    _gone(stack, row)
    return (time() - began - LIMIT_SECONDS) * 1000


def _gone(stack: Stack, row: dict[str, Any]) -> None:
    query = SandboxQuery(metadata={})
    sandbox_id = row["sandbox_id"]

    def is_gone() -> bool:
        pages, found = stack.e2b.Sandbox.list(query=query), []
        while pages.has_next:
            found += [each.sandbox_id for each in pages.next_items()]
        return sandbox_id not in found

    until(f"{sandbox_id} to be gone", 60, is_gone)
