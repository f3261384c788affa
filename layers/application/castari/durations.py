"""What an invocation's time went into: queue, start, run and finish, which make up the whole."""

from datetime import datetime

from castari.models import Invocation
from castari.reports import RunReport

Parts = dict[str, object]
"""The fields `start_milliseconds` and `run_milliseconds`; what is left of the duration is the finish."""


def milliseconds(began: datetime, ended: datetime) -> int:
    """Return the time between, never less than none."""
    return max(0, round((ended - began).total_seconds() * 1000))


def duration(invocation: Invocation, ended: datetime) -> int:
    """Return the time since its last attempt began; none where nothing ever did."""
    return milliseconds(invocation.started_at or ended, ended)


def reported(invocation: Invocation, report: RunReport, ended: datetime) -> Parts:
    """Return the parts by a report, which comes out of a sandbox: they never exceed what we saw pass.

    The run is by the runner's clock alone. Where the start ended is by both clocks, the sandbox's and ours.
    """
    whole = duration(invocation, ended)
    if report.agent_milliseconds is None:
        return {}
    run = min(report.agent_milliseconds, whole)
    if invocation.started_at is None or report.began_at_milliseconds is None:
        return {"run_milliseconds": run}
    start = report.began_at_milliseconds - round(invocation.started_at.timestamp() * 1000)
    return {"start_milliseconds": min(max(0, start), whole - run), "run_milliseconds": run}


def not_started(invocation: Invocation, ended: datetime) -> Parts:
    """Return the parts where no agent began: all the time was for a sandbox."""
    return {"start_milliseconds": duration(invocation, ended), "run_milliseconds": 0}


def queued(invocation: Invocation) -> int | None:
    """Return how long it waited for its last attempt, earlier ones included; None while it does."""
    until = invocation.started_at or invocation.finished_at
    return milliseconds(invocation.created_at, until) if until else None


def finish(invocation: Invocation) -> int | None:
    """Return what is left of the duration after start and run; None where these are not known."""
    whole, start, run = (
        invocation.duration_milliseconds,
        invocation.start_milliseconds,
        invocation.run_milliseconds,
    )
    return None if whole is None or start is None or run is None else max(0, whole - start - run)


def sandbox_seconds(invocation: Invocation) -> float | None:
    """Return how long sandboxes were held for it, lost attempts included; None while one is."""
    if invocation.finished_at is None:
        return None
    spans = [(each.sandbox_id, each.started_at, each.ended_at) for each in invocation.past_attempts]
    spans.append((invocation.sandbox_id, invocation.started_at, invocation.finished_at))
    held = (milliseconds(began, ended) for sandbox_id, began, ended in spans if sandbox_id and began)
    return sum(held) / 1000
