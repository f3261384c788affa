"""How long the deployed `hello` takes inside its sandbox, beside bare node on the very same bundled file."""

import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from e2b import Sandbox

from bench.agents import BenchAgent
from bench.bare import answers
from bench.bundle import RUN_FILE, fetch_bundle
from bench.node import sandbox_node
from bench.report import Report

ROUNDS = 40
PROMPT = "bench"
_TIMER = """
import subprocess, sys, time
folder, *command = sys.argv[1:]
begin = time.perf_counter()
subprocess.run(command, cwd=folder, input=b"{prompt}", stdout=subprocess.PIPE, check=True)
print((time.perf_counter() - begin) * 1000)
"""


def measure_start(agent: BenchAgent, report: Report) -> None:
    """Run the agent's own command in a sandbox of its snapshot, and the file on the host, in turns.

    Both sides are timed by the process that starts node, from spawn to exit, with the prompt on stdin.
    """
    node = sandbox_node()
    snapshot = agent.private_row()["active_version"]["snapshot_id"]
    with TemporaryDirectory() as folder, agent.stack.e2b.Sandbox.create(snapshot, timeout=120) as sandbox:
        bundle = fetch_bundle(agent, Path(folder))
        sandbox.files.write("/tmp/timer.py", _TIMER.replace("{prompt}", PROMPT))  # noqa: S108 - the sandbox's own
        words = sandbox.files.read(RUN_FILE).split("\0")[:-1]
        for _ in range(ROUNDS):
            with report.timed("hello_bare_ms"):
                answers(node, bundle, PROMPT)
            report.samples["hello_sandbox_ms"].append(_in_sandbox(sandbox, words))
    report.beside("hello_bare_ms", "hello_sandbox_ms")
    report.ratio("hello_sandbox_over_bare", "hello_sandbox_ms", "hello_bare_ms")


def _in_sandbox(sandbox: Sandbox, words: list[str]) -> float:
    command = shlex.join(["python3", "-I", "-S", "/tmp/timer.py", *words])  # noqa: S108 - the sandbox's own
    return float(sandbox.commands.run(command).stdout)
