"""Runs one attempt from its start to the closing frame."""

from __future__ import annotations

import os
import time

from runner.process import JOB_VARIABLE, PROMPT_VARIABLE, Agent, kill_group, read_command, spawn, usage_file

TYPE_CHECKING = False  # The typing module costs milliseconds that the agent would start later.
if TYPE_CHECKING:
    from typing import Any

    from runner.pump import Ending
    from runner.spool import Spool


def main(run_file: str) -> int:
    """Run the version's command with the job and prompt of the environment. Always hands in a report."""
    began = time.monotonic()
    agent, problem = _start(run_file)
    # The agent starts by itself from here; these imports cost what it takes anyway.
    import json

    from runner import report
    from runner.output import Head, Tail
    from runner.spool import Spool

    oom_kills = report.oom_kills()
    job = json.loads(os.environ[JOB_VARIABLE])
    stdout, stderr = Head(job["kept_bytes"]), Tail(job["stderr_bytes"])
    ends_at = began + job["timeout_seconds"]
    facts: dict[str, Any] = {}
    if agent:
        report.write_frame("started", pid=agent.pid)
        prompt, problem = _prompt(agent, job)
        spool = Spool(job.get("spool_folder"), stdout, stderr, job["kept_bytes"])
        ending = _follow(agent, prompt, spool, ends_at, keeps=job.get("keeps_processes", False))
        facts = report.ending_facts(ending, stderr, oom_kills) | _usage()
    facts |= {"problem": problem, "agent_milliseconds": round((time.monotonic() - began) * 1000)}
    report.hand_in(job, facts, stdout, ends_at)
    return 0


def _start(run_file: str) -> tuple[Agent | None, str | None]:
    try:
        return spawn(*read_command(run_file)), None
    except (OSError, ValueError, IndexError) as error:
        return None, f"the agent could not be started: {error}"


def _prompt(agent: Agent, job: dict[str, Any]) -> tuple[bytes, str | None]:
    """Return the prompt: a short one rides in the environment, a long one is fetched. Else end the agent."""
    if PROMPT_VARIABLE in os.environ:
        import binascii

        return binascii.a2b_base64(os.environ[PROMPT_VARIABLE]), None
    from runner.fetch import fetch

    try:
        return fetch(job["prompt_url"], limit_bytes=job["prompt_bytes"]), None
    except OSError as error:
        kill_group(agent)
        return b"", f"the prompt could not be fetched: {error}"


def _usage() -> dict[str, Any]:
    """Return what the agent says it used; most say nothing, and pay for nothing."""
    if not os.path.lexists(usage_file()):
        return {}
    from runner.usage import collect

    return {"usage": collect(usage_file())}


def _follow(agent: Agent, prompt: bytes, spool: Spool, ends_at: float, *, keeps: bool) -> Ending:
    from runner.pump import Pump

    try:
        return Pump(agent, prompt, spool).run(ends_at, keeps_processes=keeps)
    finally:
        spool.remove()
