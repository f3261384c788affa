"""How long a caller waits for an answer: warm, cold and through the queue, beside bare node."""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.agents import HELLO, BenchAgent, bench_agent, pack
from bench.bare import answers
from bench.bundle import fetch_bundle
from bench.calls import measure_calls
from bench.node import sandbox_node
from bench.report import Report
from bench.stack import Stack, running_stack, until

WARM_ROUNDS = 40
COLD_ROUNDS = 10
ASYNC_ROUNDS = 10
PROMPT = "bench"
_TERMINAL = {"completed", "failed", "timed_out", "cancelled", "lost"}


def measure(report: Report) -> None:
    """Measure invocations of `hello` on the running stack."""
    with running_stack() as stack, bench_agent(stack, HELLO) as agent, TemporaryDirectory() as folder:
        agent.deploy(pack(HELLO))
        bundle = fetch_bundle(agent, Path(folder))
        node = sandbox_node()
        wait_until_warm(agent)
        agent.invoke(PROMPT)
        for _ in range(WARM_ROUNDS):
            wait_until_warm(agent)
            with report.timed("hello_bare_ms"):
                expected = answers(node, bundle, PROMPT)
            with report.timed("invoke_warm_ms"):
                answer = agent.invoke(PROMPT)
            if answer.strip() != expected.strip():
                raise RuntimeError(f"bare node answers {expected!r}, the platform {answer!r}")
        for _ in range(COLD_ROUNDS):
            drop_warm(agent)
            with report.timed("hello_bare_ms"):
                answers(node, bundle, PROMPT)
            with report.timed("invoke_cold_ms"):
                agent.invoke(PROMPT)
        for _ in range(ASYNC_ROUNDS):
            wait_until_warm(agent)
            with report.timed("hello_bare_ms"):
                answers(node, bundle, PROMPT)
            with report.timed("async_ms"):
                run_queued(stack, agent, PROMPT)
        report.beside("hello_bare_ms", "invoke_warm_ms", "invoke_cold_ms", "async_ms")
        report.ratio("invoke_over_bare", "invoke_warm_ms", "hello_bare_ms")
        measure_calls(stack, agent, report)


def wait_until_warm(agent: BenchAgent) -> None:
    """Wait until a warm sandbox is there to be claimed."""
    until(f"a warm sandbox for {agent.slug}", 30, agent.warm_rows)


def drop_warm(agent: BenchAgent) -> None:
    """Take every warm sandbox away, so that the next invocation has to make one."""
    wait_until_warm(agent)
    for row in agent.warm_rows():
        agent.stack.table("WARM").delete_item(
            Key={"version_id": row["version_id"], "sandbox_id": row["sandbox_id"]}
        )
        agent.stack.e2b.Sandbox.kill(row["sandbox_id"])


def run_queued(stack: Stack, agent: BenchAgent, prompt: str) -> None:
    """Submit an invocation to the queue and wait until its result can be read."""
    path = f"/agents/{agent.slug}/invocations"
    invocation = stack.call("POST", path, json={"prompt": prompt}).json()["invocation_id"]
    read = f"{path}/{invocation}"
    until(read, 60, lambda: stack.call("GET", read).json()["status"] in _TERMINAL)
