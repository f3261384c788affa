"""The result document: what happened, in facts. What they mean is decided outside the sandbox."""

from __future__ import annotations

import binascii
import json
import os
import select
import time

from runner import handover
from runner.output import Head, Tail
from runner.pump import Ending
from runner.stacks import in_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runner.spool import Spool
    from runner.timeline import Timeline

_OOM_COUNTERS = (
    "/sys/fs/cgroup/memory/memory.oom_control",
    "/sys/fs/cgroup/memory.events",
    "/proc/vmstat",
)
"""The sandbox's own control group, version 1 or 2, where one is shown; a virtual machine's whole kernel."""

_HAND_IN_SECONDS = 0.7
"""The command is ended one second after the agent's own limit; the report must be stored before."""
_ATTENDED_SECONDS = 0.2
"""How long whoever attends has to finish the attempt and end this sandbox before the report is stored."""
_LOG_SECONDS = 3.0
"""A long log delays the result so long at most, where the store is ill."""
_LATE_LOG_SECONDS = 0.3
"""The same past the agent's limit."""
_FRAME_MILLISECONDS = 200


def oom_kills() -> int | None:
    """Return how often a process of this sandbox was ended for memory, or None if nothing says."""
    for path in _OOM_COUNTERS:
        try:
            with open(path, "rb") as file:
                counters = dict(line.split() for line in file)
            return int(counters[b"oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return None


def write_frame(kind: str, **fields: object) -> None:
    """Print one frame: a line of JSON, which whoever is attached reads; nobody is waited for long."""
    line = memoryview(json.dumps({"castari": kind, **fields}).encode() + b"\n")
    os.set_blocking(1, False)
    room = select.poll()
    room.register(1, select.POLLOUT)
    try:
        while line and room.poll(_FRAME_MILLISECONDS):
            line = line[os.write(1, line) :]
    except OSError:
        pass  # Whoever read it is gone; the report is stored for others.


def hand_in(
    job: dict[str, Any], facts: dict[str, Any], spool: Spool, timeline: Timeline, ends_at: float
) -> None:
    """Print the report as the closing frame, and store it for everybody who did not hear that.

    Who attends an attempt finishes it by the frame and ends the sandbox, mostly before anything is stored:
    a PUT, its event and the function behind that cost more than a short agent itself.
    """
    ends_at = max(ends_at, time.monotonic()) + _HAND_IN_SECONDS
    report = {
        "invocation_id": job["invocation_id"],
        "attempt": job["attempt"],
        **facts,
        **_answer(job, spool.stdout, timeline, ends_at),
        **_log(job, spool.stderr, timeline, _LATE_LOG_SECONDS if facts.get("timed_out") else _LOG_SECONDS),
        **timeline.facts(),
    }
    write_frame("result", report=report)
    if job["attended"] and not facts.get("timed_out"):
        time.sleep(_ATTENDED_SECONDS)
    handover.put(job["result_url"], json.dumps(report).encode(), ends_at)


def _answer(job: dict[str, Any], stdout: Head, timeline: Timeline, ends_at: float) -> dict[str, Any]:
    """Return the answer itself while it is small, else where it was put."""
    content, truncated = stdout.content(), stdout.truncated
    facts: dict[str, Any] = {"stdout_bytes": stdout.seen_bytes, "stdout_stored": False}
    if len(content) > job["inline_bytes"]:
        if handover.put(job["output_url"], content, ends_at):
            timeline.note("answer_stored")
            return facts | {
                "stdout": None,
                "stdout_stored": True,
                "stdout_is_base64": False,
                "truncated": truncated,
            }
        timeline.note("answer_not_stored")
        content, truncated = content[: job["inline_bytes"]], True
    return facts | {"truncated": truncated} | _as_text(content)


def _log(job: dict[str, Any], stderr: Tail, timeline: Timeline, seconds: float) -> dict[str, Any]:
    """Return the end of stderr; all that was kept is put aside where that is longer.

    Before the closing frame, for whoever hears that ends the sandbox: but it delays no answer for long.
    """
    kept = stderr.kept()
    text = kept.decode("utf-8", "replace")
    in_the_sources = in_sources(text)
    content = kept if in_the_sources is text else in_the_sources.encode()
    facts = {"stderr_bytes": stderr.seen_bytes, "stderr_stored_bytes": 0}
    if len(content) > job["stderr_bytes"] and "log_url" in job:
        stored = handover.put(job["log_url"], content, time.monotonic() + seconds)
        timeline.note("log_stored" if stored else "log_not_stored")
        facts["stderr_stored_bytes"] = len(content) if stored else 0
    return facts | {"stderr": content[-job["stderr_bytes"] :].decode("utf-8", "replace")}


def _as_text(content: bytes) -> dict[str, Any]:
    try:
        return {"stdout": content.decode(), "stdout_is_base64": False}
    except UnicodeDecodeError:
        return {"stdout": binascii.b2a_base64(content, newline=False).decode(), "stdout_is_base64": True}


def ending_facts(ending: Ending, oom_kills_before: int | None) -> dict[str, Any]:
    """Return how the agent ended, with the counters that tell an out-of-memory kill from any other."""
    after = oom_kills()
    signal = -ending.exit_code if ending.exit_code is not None and ending.exit_code < 0 else None
    return {
        "exit_code": None if signal else ending.exit_code,
        "signal": signal,
        "timed_out": ending.timed_out,
        "oom_kills": None if after is None or oom_kills_before is None else after - oom_kills_before,
    }
