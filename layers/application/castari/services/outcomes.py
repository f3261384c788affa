"""From facts to meaning: what a report says about an invocation, and what its owner should do."""

import signal
from dataclasses import dataclass
from itertools import pairwise

from castari.models import Failure, FailureCode, InvocationStatus
from castari.reports import RunReport

_SHELL_SIGNAL_BASE = 128
_HEAP_TEXTS = ("heap out of memory", "Reached heap limit")
# Node has no name for EDQUOT and prints its number.
_DISK_TEXTS = ("ENOSPC", "No space left on device", "EDQUOT", "Disk quota exceeded", "errno: -122")
# Not ENOTFOUND or ECONNREFUSED: those are about one host, and may be a slip in its name.
_NETWORK_TEXTS = (
    "ENETUNREACH", "EHOSTUNREACH", "EAI_AGAIN", "ENETDOWN", "connect EADDRNOTAVAIL",
    "Network is unreachable", "No route to host", "Temporary failure in name resolution",
)  # fmt: skip
_REASON_CHARACTERS = 300

NOTHING_STARTED: frozenset[FailureCode] = frozenset(
    {"vendor_unavailable", "agent_not_active", "session_ended", "too_many_sessions"}
)
"""Failures after which the same request may be made again as if it had never been."""


@dataclass(frozen=True)
class Outcome:
    """A terminal status, and why it is not `completed`."""

    status: InvocationStatus
    failure: Failure | None = None


def of_report(report: RunReport, timeout_seconds: int) -> Outcome:
    """Return what a report means."""
    if report.timed_out:
        return timed_out(timeout_seconds)
    if report.problem:
        return _failed(report, "internal", report.problem, "deploy the agent again, then retry")
    if report.exit_code == 0:
        return Outcome("completed")
    return _failed(report, *_cause(report))


def timed_out(timeout_seconds: int) -> Outcome:
    """Return the outcome of an agent that did not end in time."""
    return Outcome(
        "timed_out",
        Failure(
            code="timeout",
            message=f"the agent did not end within {timeout_seconds} s",
            remedy="look for a loop or a wait without end, or raise `timeout_seconds`",
        ),
    )


def lost() -> Outcome:
    """Return the outcome of an attempt whose sandbox vanished."""
    return Outcome(
        "lost",
        Failure(
            code="sandbox_lost",
            message="the sandbox ended without a result; whether the agent did its work cannot be known",
            remedy="invoke again if the agent may run twice",
        ),
    )


def cancelled() -> Outcome:
    """Return the outcome of an invocation whose agent was stopped or deleted."""
    return Outcome(
        "cancelled",
        Failure(
            code="killed",
            message="the agent was stopped or deleted while the invocation was open",
            remedy="deploy the agent, then invoke again",
        ),
    )


def cancelled_by_owner() -> Outcome:
    """Return the outcome of an invocation whose owner does not want it any more."""
    return Outcome(
        "cancelled",
        Failure(
            code="cancelled",
            message="it was cancelled before it ended",
            remedy="invoke again if the answer is wanted after all",
        ),
    )


def not_started(message: str) -> Outcome:
    """Return the outcome of an invocation for which no sandbox could be had."""
    return Outcome(
        "failed",
        Failure(code="vendor_unavailable", message=message, remedy="nothing was started: invoke again"),
    )


def session_ended(reason: str) -> Outcome:
    """Return the outcome of an invocation whose session cannot be resumed."""
    failure = Failure(code="session_ended", message="the session cannot be resumed", remedy=reason)
    return Outcome("failed", failure)


def too_many_sessions(reason: str, remedy: str) -> Outcome:
    """Return the outcome of an invocation whose session could not be made."""
    return Outcome("failed", Failure(code="too_many_sessions", message=reason, remedy=remedy))


def _failed(report: RunReport, code: FailureCode, message: str, remedy: str) -> Outcome:
    return Outcome(
        "failed",
        Failure(
            code=code,
            message=message,
            remedy=remedy,
            exit_code=report.exit_code,
            signal=_signal_name(report.signal),
        ),
    )


def _cause(report: RunReport) -> tuple[FailureCode, str, str]:
    stderr = report.stderr or ""
    number = report.signal or max(0, (report.exit_code or 0) - _SHELL_SIGNAL_BASE)
    if number == signal.SIGABRT and any(text in stderr for text in _HEAP_TEXTS):
        return (
            "heap_out_of_memory",
            "the agent ran out of JavaScript heap",
            "process data in smaller parts, or set the secret NODE_OPTIONS=--max-old-space-size=1536",
        )
    if _killed_for_memory(report, number):
        return (
            "out_of_memory",
            "the agent was killed because its sandbox ran out of memory",
            "process data in smaller parts and avoid loading large files whole",
        )
    if any(text in stderr for text in _DISK_TEXTS):
        return "disk_full", "the agent filled its sandbox's disk", "write less, or delete what is done with"
    if report.signal:
        name = _signal_name(report.signal)
        return "killed", f"the agent was ended by {name}", "its stderr may tell why"
    if any(text in stderr for text in _NETWORK_TEXTS):
        return (
            "network_unreachable",
            f"the network was out of the agent's reach: {_exit_message(report, stderr)}",
            "sandboxes reach public IPv4 addresses only: check the host that its stderr names",
        )
    return "nonzero_exit", _exit_message(report, stderr), "mend what its stderr names, then deploy again"


def _killed_for_memory(report: RunReport, number: int) -> bool:
    """Tell whether SIGKILL came from the kernel: nobody else in a sandbox sends it without a reason."""
    if number != signal.SIGKILL:
        return False
    if report.signal:
        return report.oom_kills != 0
    return bool(report.oom_kills)


def _exit_message(report: RunReport, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = f": {_reason(lines)[:_REASON_CHARACTERS]}" if lines else " and said nothing on stderr"
    return f"the agent ended with exit code {report.exit_code}{said}"


def _reason(lines: list[str]) -> str:
    """Return the line that says why: Node prints it above the stack, most others last."""
    above_stack = (line for line, below in pairwise(lines) if below.startswith("at "))
    return next(above_stack, lines[-1])


def _signal_name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
