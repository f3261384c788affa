"""The state machine of an invocation, as data: each step is one conditional write that checks the attempt."""

from dataclasses import dataclass

from castari.models import TERMINAL_STATUSES, Invocation, InvocationStatus


@dataclass(frozen=True)
class Step:
    """A way from one status to another, and when it is taken."""

    before: InvocationStatus
    after: InvocationStatus
    when: str


STEPS = (
    Step("queued", "running", "a worker claims the next attempt"),
    Step("queued", "failed", "no sandbox was to be had in time, or the agent is not active any more"),
    Step("queued", "cancelled", "its owner cancels it, or stops or deletes the agent"),
    Step("running", "queued", "nothing was started, or the attempt was lost and the agent may run again"),
    Step("running", "completed", "exit code 0"),
    Step("running", "failed", "any other end of the agent"),
    Step("running", "timed_out", "its time is over"),
    Step("running", "cancelled", "its owner cancels it, or stops or deletes the agent"),
    Step("running", "lost", "its sandbox ended without a result"),
)


def is_terminal(invocation: Invocation) -> bool:
    """Tell whether nothing can happen to it any more."""
    return invocation.status in TERMINAL_STATUSES


def step(invocation: Invocation, status: InvocationStatus) -> dict[str, object]:
    """Return the change that takes the step. Raises `ValueError` for a step that the machine has not."""
    if not any((each.before, each.after) == (invocation.status, status) for each in STEPS):
        raise ValueError(f"an invocation that is {invocation.status} cannot become {status}")
    return {"status": status}


def diagram() -> str:
    """Return the machine as a Mermaid diagram."""
    ends = [status for status in sorted(TERMINAL_STATUSES) if any(each.after == status for each in STEPS)]
    lines = [
        "stateDiagram-v2",
        "    [*] --> queued",
        *(f"    {each.before} --> {each.after}: {each.when}" for each in STEPS),
        *(f"    {status} --> [*]" for status in ends),
    ]
    return "\n".join(lines)
