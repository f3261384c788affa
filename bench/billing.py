"""Adds up the Lambda time that one queued invocation is billed, whatever the agent takes."""

import json
import re
from collections.abc import Iterator, Sequence
from time import sleep, time
from typing import Any

from bench.agents import SLEEPER, BenchAgent, bench_agent, pack
from bench.report import Report
from bench.stack import Stack, running_stack, until

FUNCTIONS = ("Api", "Start", "Complete", "Sweep")
"""Whoever works for a queued invocation; sweep destroys its sandbox and makes the next one ready."""
_REPORT = re.compile(r"REPORT RequestId: (\S+)\t.*Billed Duration: ([0-9.]+) ms")
_AFTERMATH_SECONDS = 2.0


def measure(report: Report) -> None:
    """Count `billed_ms_async_1s`, `_30s` and `_300s`, which takes as long as that."""
    with running_stack() as stack:
        measure_billing(stack, report, (1, 30, 300))


def measure_billing(stack: Stack, report: Report, runs: Sequence[int] = (1, 30)) -> None:
    """Count `billed_ms_async_1s` and so on: the same agent, once short and once long."""
    with bench_agent(stack, SLEEPER) as agent:
        agent.deploy(pack(SLEEPER))
        _billed(agent, 0)  # starts the workers, so that neither side pays for that
        for seconds in runs:
            report.counts[f"billed_ms_async_{seconds}s"] = _billed(agent, seconds)


def _billed(agent: BenchAgent, seconds: int) -> float:
    until("a warm sandbox", 30, agent.warm_rows)
    begin = time()
    path = f"/agents/{agent.slug}/invocations"
    invocation = agent.stack.call(
        "POST", path, json={"prompt": str(seconds), "timeout_seconds": seconds + 30}
    ).json()["invocation_id"]
    row = until("the end of the invocation", seconds + 60, lambda: _finished(agent.stack, invocation), 0.1)
    sleep(_AFTERMATH_SECONDS)
    marks = [invocation, row["sandbox_id"], f'"slug":"{agent.slug}"', f'"path":"/api/v1{path}"']
    return billed_milliseconds(list(_messages(agent.stack, begin)), marks)


def _finished(stack: Stack, invocation: str) -> dict[str, Any] | None:
    # From the table: reading through the API would be billed too.
    row = stack.table("INVOCATIONS").get_item(Key={"invocation_id": invocation})["Item"]
    return row if row.get("finished_at") else None


def _messages(stack: Stack, since: float) -> Iterator[str]:
    for name in FUNCTIONS:
        group = stack.function(name)["LoggingConfig"]["LogGroup"]
        pages = stack.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(since * 1000)
        )
        yield from (event["message"] for page in pages for event in page["events"])


def billed_milliseconds(messages: Sequence[str], marks: Sequence[str]) -> float:
    """Sum what was billed for requests that logged one of `marks`: others use the stack, too."""
    logged = [line for line in messages if line.startswith("{") and any(mark in line for mark in marks)]
    requests = {json.loads(line).get("function_request_id") for line in logged}
    reports = [found.groups() for line in messages if (found := _REPORT.match(line))]
    return sum(float(billed) for request, billed in reports if request in requests)
