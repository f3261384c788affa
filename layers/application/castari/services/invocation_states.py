"""The state machine of an invocation, as data: each step is one conditional write that checks the attempt."""

from castari.models import TERMINAL_STATUSES, Invocation, InvocationStatus

FROM: dict[InvocationStatus, frozenset[InvocationStatus]] = {
    # Failed from here: it was never started, because it could not be or its agent went away.
    "queued": frozenset({"running", "failed", "cancelled"}),
    # Back to the queue: nothing was started, for lack of a sandbox.
    "running": frozenset({"queued", "completed", "failed", "timed_out", "cancelled", "lost"}),
    "completed": frozenset(),
    "failed": frozenset(),
    "timed_out": frozenset(),
    "cancelled": frozenset(),
    "lost": frozenset(),
}


def is_terminal(invocation: Invocation) -> bool:
    """Tell whether nothing can happen to it any more."""
    return invocation.status in TERMINAL_STATUSES


def step(invocation: Invocation, status: InvocationStatus) -> dict[str, object]:
    """Return the change that takes the step. Raises `ValueError` for a step that the machine has not."""
    if status not in FROM[invocation.status]:
        raise ValueError(f"an invocation that is {invocation.status} cannot become {status}")
    return {"status": status}
