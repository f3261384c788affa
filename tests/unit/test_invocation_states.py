"""The state machine of an invocation has no way out of its ends, and a way to each of them."""

from typing import get_args

import pytest

from castari.models import TERMINAL_STATUSES, Invocation, InvocationStatus
from castari.services.invocation_states import STEPS, is_terminal, step
from tests.fakes import SetClock

STATUSES: tuple[InvocationStatus, ...] = get_args(InvocationStatus)


def an_invocation(status: InvocationStatus) -> Invocation:
    now = SetClock()()
    return Invocation(
        invocation_id="inv_1",
        session_id="sess_1",
        user_id="user_1",
        agent_id="agent_1",
        slug="hello",
        status=status,
        timeout_seconds=120,
        deadline_at=now,
        created_at=now,
    )


def _after(status: InvocationStatus) -> set[InvocationStatus]:
    return {each.after for each in STEPS if each.before == status}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_terminal_exactly_if_nothing_follows(status: InvocationStatus) -> None:
    assert is_terminal(an_invocation(status)) == (not _after(status)) == (status in TERMINAL_STATUSES)


def test_every_status_can_be_reached_from_queued() -> None:
    reached: set[InvocationStatus] = {"queued"}
    frontier = set(reached)
    while frontier:
        frontier = {after for status in frontier for after in _after(status)} - reached
        reached |= frontier
    assert reached == set(STATUSES)


def test_a_step_that_the_machine_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="completed cannot become running"):
        step(an_invocation("completed"), "running")
    with pytest.raises(ValueError, match="queued cannot become completed"):
        step(an_invocation("queued"), "completed")
    assert step(an_invocation("running"), "completed") == {"status": "completed"}
