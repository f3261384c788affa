"""Adds up the Lambda time that one queued invocation is billed, whatever the agent takes."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import sleep, time
from typing import Any

from e2b import SandboxQuery

from bench.agents import SLEEPER, BenchAgent, bench_agent, pack
from bench.report import Report
from bench.stack import Stack, running_stack, until

FUNCTIONS = ("Api", "Start", "Complete", "Sweep")
"""Whoever works for a queued invocation; sweep destroys its sandbox and makes the next one ready."""
RUNS_SECONDS = (1, 30, 300)
_REPORT = re.compile(r"REPORT RequestId: (\S+)\t.*Billed Duration: ([0-9.]+) ms")
_AFTERMATH_SECONDS = 2.0
_WAKE_SECONDS = 8.0


@dataclass(frozen=True)
class _Run:
    """One invocation that was begun: `seconds` is how long its agent takes, `since` when it was asked for."""

    agent: BenchAgent
    seconds: int
    invocation_id: str
    since: float


@contextmanager
def measured(report: Report) -> Iterator[None]:
    """Begin runs of 1, 30 and 300 s, then count `billed_ms_async_1s` and so on once the block is over.

    The same agent, deployed once for each, so that what is done for it can be told by its slug. A run does
    nothing but sleep: what is measured meanwhile is not disturbed.
    """
    with running_stack() as stack, ExitStack() as agents:
        waker, *deployed = [
            agents.enter_context(bench_agent(stack, SLEEPER)) for _ in range(1 + len(RUNS_SECONDS))
        ]
        for agent in (waker, *deployed):
            agent.deploy(pack(SLEEPER))
        _end_of(_begun(waker, 0))  # starts the workers, so that no run pays for that
        longest_first = sorted(RUNS_SECONDS, reverse=True)
        runs = [_begun(agent, seconds) for agent, seconds in zip(deployed, longest_first, strict=True)]
        yield
        for run in reversed(runs):
            _wake_before(run, waker)
            report.counts[f"billed_ms_async_{run.seconds}s"] = _billed(run)


def _begun(agent: BenchAgent, seconds: int) -> _Run:
    until(f"a warm sandbox for {agent.slug}", 30, agent.warm_rows)
    since = time()
    body = {"prompt": str(seconds), "timeout_seconds": seconds + 30}
    made = agent.stack.call("POST", f"/agents/{agent.slug}/invocations", json=body).json()
    run = _Run(agent, seconds, made["invocation_id"], since)
    until("the run to begin", 30, lambda: _row(run)["status"] != "queued", 0.1)
    return run


def _wake_before(run: _Run, waker: BenchAgent) -> None:
    """Start the workers again that its end needs: those that nobody uses for minutes are ended."""
    early = run.since + run.seconds - _WAKE_SECONDS - time()
    if early > 0:
        sleep(early)
        _end_of(_begun(waker, 0))


def _end_of(run: _Run) -> dict[str, Any]:
    """Return the run's row once it is over."""
    patience = run.since + run.seconds + 60 - time()
    return until(f"the end of {run.invocation_id}", patience, lambda: _finished(run), 0.1)


def _billed(run: _Run) -> float:
    row = _end_of(run)
    if row["status"] != "completed":
        raise RuntimeError(f"the run of {run.seconds} s {row['status']}: {row.get('failure')}")
    until("its sandbox's end", 30, lambda: _is_gone(run.agent.stack, row["sandbox_id"]), 0.1)
    sleep(_AFTERMATH_SECONDS)
    path = f'"path":"/api/v1/agents/{run.agent.slug}/invocations"'
    marks = [run.invocation_id, row["sandbox_id"], f'"slug":"{run.agent.slug}"', path]
    return billed_milliseconds(list(_messages(run.agent.stack, run.since)), marks)


def _is_gone(stack: Stack, sandbox_id: str) -> bool:
    pages = stack.e2b.Sandbox.list(query=SandboxQuery(metadata={}))
    found: list[str] = []
    while pages.has_next:
        found += [each.sandbox_id for each in pages.next_items()]
    return sandbox_id not in found


def _row(run: _Run) -> dict[str, Any]:
    # From the table: reading through the API would be billed too.
    return dict(
        run.agent.stack.table("INVOCATIONS").get_item(Key={"invocation_id": run.invocation_id})["Item"]
    )


def _finished(run: _Run) -> dict[str, Any] | None:
    row = _row(run)
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
