"""Adds up the Lambda time that one queued invocation is billed, whatever the agent takes."""

import re
from time import sleep, time

from bench.agents import SLEEPER, BenchAgent, bench_agent, pack
from bench.report import Report
from bench.stack import Stack, until

FUNCTIONS = ("Api", "Start", "Complete", "Sweep")
"""Whoever works for a queued invocation; sweep fills the warm pool again."""
_BILLED = re.compile(r"Billed Duration: ([0-9.]+) ms")
_AFTERMATH_SECONDS = 2.0


def measure_billing(stack: Stack, report: Report) -> None:
    """Count `billed_ms_async_1s` and `_30s`: the same agent, once short and once long."""
    with bench_agent(stack, SLEEPER) as agent:
        agent.deploy(pack(SLEEPER))
        _billed(agent, 0)  # starts the workers, so that neither side pays for that
        for seconds in (1, 30):
            report.counts[f"billed_ms_async_{seconds}s"] = round(_billed(agent, seconds), 1)


def _billed(agent: BenchAgent, seconds: int) -> float:
    until("a warm sandbox", 30, agent.warm_rows)
    begin = time()
    path = f"/agents/{agent.slug}/invocations"
    invocation = agent.stack.call("POST", path, json={"prompt": str(seconds)}).json()["invocation_id"]
    # Read from the table: polling the API would be billed too.
    rows = agent.stack.table("INVOCATIONS")
    until(
        "the end of the invocation",
        seconds + 30,
        lambda: rows.get_item(Key={"invocation_id": invocation})["Item"].get("finished_at"),
        pause=0.1,
    )
    sleep(_AFTERMATH_SECONDS)
    return sum(
        billed_milliseconds(message) for name in FUNCTIONS for message in _reports(agent.stack, name, begin)
    )


def _reports(stack: Stack, function: str, since: float) -> list[str]:
    group = stack.function(function)["LoggingConfig"]["LogGroup"]
    pages = stack.logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(since * 1000), filterPattern="REPORT"
    )
    return [event["message"] for page in pages for event in page["events"]]


def billed_milliseconds(report_line: str) -> float:
    """Return the billed time in one REPORT line of Lambda's log, 0 for another line."""
    found = _BILLED.search(report_line)
    return float(found[1]) if found else 0.0
