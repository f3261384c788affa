"""Runs one attempt from its start to the closing frame."""

from __future__ import annotations

import os
import time

from runner.process import (
    JOB_VARIABLE,
    PROMPT_VARIABLE,
    Agent,
    adopt,
    kill_group,
    read_command,
    spawn,
    transcripts_folder,
    usage_file,
)

TYPE_CHECKING = False  # The typing module costs milliseconds that the agent would start later.
if TYPE_CHECKING:
    from typing import Any

    from runner.pump import Ending, Pump
    from runner.spool import Spool
    from runner.timeline import Timeline


def main(run_file: str, *begun: str) -> int:
    """Run the version's command with the job and prompt of the environment. Always hands in a report.

    `begun`: the agent that the file `start` began already, as `adopt` takes it, and the microseconds since
    1970 when it did.
    """
    if not begun:
        return run(run_file)
    *agent, at = map(int, begun)
    return run(run_file, adopt(*agent), began_at=at)


def import_all() -> None:
    """Import now what `run` needs after the agent has begun."""
    for name in ("binascii", "json", "runner.pump", "runner.report", "runner.spool", "runner.timeline"):
        __import__(name)


def run(run_file: str, begun: Agent | None = None, *, began_at: int | None = None) -> int:
    """Do the same with an agent that has begun, if there is one, at the microseconds since 1970."""
    began = time.monotonic()
    if began_at is not None:
        began -= max(0.0, time.time() - began_at / 1_000_000)
    agent, problem = (begun, None) if begun else _start(run_file)
    started = time.monotonic()
    # The agent starts by itself from here; these imports cost what it takes anyway.
    import json

    from runner import report
    from runner.output import Head, Tail
    from runner.pump import Pump
    from runner.spool import Spool
    from runner.timeline import Timeline

    timeline = Timeline(began)
    oom_kills = report.oom_kills()
    job = json.loads(os.environ[JOB_VARIABLE])
    stdout, stderr = Head(job["kept_bytes"]), Tail(job.get("log_bytes", job["stderr_bytes"]))
    spool = Spool(job.get("spool_folder"), stdout, stderr, job["kept_bytes"])
    ends_at = began + job["timeout_seconds"]
    facts: dict[str, Any] = {"agent_milliseconds": 0}
    if agent:
        report.write_frame("started", pid=agent.pid)
        timeline.note("agent_started", started)
        prompt, problem = _prompt(agent, job, timeline)
        pump = Pump(agent, prompt, spool, timeline)
        ending = _follow(pump, spool, ends_at, keeps=job.get("keeps_processes", False))
        facts = report.ending_facts(ending, oom_kills) | {"agent_milliseconds": timeline.elapsed()}
        facts |= _usage(ending, timeline.began_at)
    report.hand_in(job, facts | {"problem": problem}, spool, timeline, ends_at)
    return 0


def _start(run_file: str) -> tuple[Agent | None, str | None]:
    """Return the agent, or why there is none."""
    try:
        return spawn(*read_command(run_file)), None
    except (OSError, ValueError, IndexError) as error:
        return None, f"the agent could not be started: {error}"


def _prompt(agent: Agent, job: dict[str, Any], timeline: Timeline) -> tuple[bytes, str | None]:
    """Return the prompt: a short one rides in the environment, a long one is fetched. Else end the agent."""
    if PROMPT_VARIABLE in os.environ:
        import binascii

        return binascii.a2b_base64(os.environ[PROMPT_VARIABLE]), None
    from runner.fetch import fetch

    try:
        prompt = fetch(job["prompt_url"], limit_bytes=job["prompt_bytes"])
    except OSError as error:
        kill_group(agent)
        return b"", f"the prompt could not be fetched: {error}"
    timeline.note("prompt_fetched")
    return prompt, None


def _usage(ending: Ending, began_at: float) -> dict[str, Any]:
    """Return what the agent says it used; most say nothing, and pay for nothing."""
    transcripts = transcripts_folder()
    if not (ending.said or os.path.lexists(usage_file()) or os.path.lexists(transcripts)):
        return {}
    from runner.usage import collect

    return {"usage": collect(usage_file(), ending.said, transcripts, began_at)}


def _follow(pump: Pump, spool: Spool, ends_at: float, *, keeps: bool) -> Ending:
    try:
        return pump.run(ends_at, keeps_processes=keeps)
    finally:
        spool.remove()
