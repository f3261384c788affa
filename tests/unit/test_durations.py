"""The parts of an invocation's time make up the whole, whatever a report claims."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castari import durations
from castari.models import Invocation, PastAttempt
from castari.reports import RunReport

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
CLAIM = st.integers(0, 2**45) | st.text() | st.none() | st.floats()


def _after(milliseconds: int) -> datetime:
    return CREATED + timedelta(milliseconds=milliseconds)


def _invocation(**fields: object) -> Invocation:
    made = {
        "invocation_id": "inv_1", "session_id": "sess_1", "user_id": "u", "agent_id": "a", "slug": "s",
        "status": "running", "timeout_seconds": 1, "deadline_at": CREATED, "created_at": CREATED,
    }  # fmt: skip
    return Invocation.model_validate(made | fields)


def _finished(invocation: Invocation, parts: durations.Parts, at: datetime) -> Invocation:
    duration = durations.duration(invocation, at)
    return invocation.model_copy(
        update={"finished_at": at, "duration_milliseconds": duration, "status": "completed", **parts}
    )


PASSED = st.integers(0, 10**7)


@given(queue=PASSED, took=PASSED, agent=st.integers(0, 2**45), clock=st.integers(0, 2**44))
def test_the_parts_add_up_whatever_the_clock_in_the_sandbox_says(
    queue: int, took: int, agent: int, clock: int
) -> None:
    began, ended = _after(queue), _after(queue + took)
    running = _invocation(started_at=began)
    report = RunReport(
        invocation_id="inv_1", attempt=1, agent_milliseconds=agent, began_at_milliseconds=clock
    )
    done = _finished(running, durations.reported(running, report, ended), ended)
    parts = [
        durations.queued(done), done.start_milliseconds, done.run_milliseconds, durations.finish(done)
    ]  # fmt: skip
    assert all(part is not None and part >= 0 for part in parts)
    assert sum(part or 0 for part in parts) == queue + took
    assert sum(part or 0 for part in parts[1:]) == done.duration_milliseconds


def test_honest_clocks_give_the_times_as_they_were() -> None:
    running = _invocation(started_at=_after(1_000))
    report = RunReport(
        invocation_id="inv_1", attempt=1, agent_milliseconds=400,
        began_at_milliseconds=round(_after(1_030).timestamp() * 1000),
    )  # fmt: skip
    done = _finished(running, durations.reported(running, report, _after(1_450)), _after(1_450))
    assert (durations.queued(done), done.start_milliseconds, done.run_milliseconds) == (1_000, 30, 400)
    assert (durations.finish(done), durations.sandbox_seconds(done)) == (20, 0)


def test_what_never_began_was_in_the_queue_all_the_time() -> None:
    waiting = _invocation(status="queued")
    done = _finished(waiting, durations.not_started(waiting, _after(5_000)), _after(5_000))
    assert (durations.queued(done), done.duration_milliseconds) == (5_000, 0)
    assert (done.start_milliseconds, done.run_milliseconds, durations.finish(done)) == (0, 0, 0)
    assert durations.sandbox_seconds(done) == 0
    assert durations.queued(waiting) is None


def test_what_nobody_told_is_not_known() -> None:
    running = _invocation(started_at=_after(10), sandbox_id="sbx")
    without = RunReport(invocation_id="inv_1", attempt=1, agent_milliseconds=7)
    assert durations.reported(running, without, _after(100)) == {"run_milliseconds": 7}
    lost = _finished(running, {}, _after(100))
    assert (durations.queued(lost), lost.duration_milliseconds, durations.finish(lost)) == (10, 90, None)


def test_the_seconds_of_every_sandbox_count() -> None:
    past = PastAttempt(
        number=1, sandbox_id="sbx_1", started_at=_after(0), ended_at=_after(2_000), message="lost"
    )
    running = _invocation(sandbox_id="sbx_2", started_at=_after(5_000), past_attempts=(past,))
    assert durations.sandbox_seconds(running) is None
    assert durations.sandbox_seconds(_finished(running, {}, _after(5_250))) == 2.25


@pytest.mark.parametrize(
    "events", [3, {}, [3], ["agent_started"], [{"name": ["agent_started"]}], "agent_exited"]
)
def test_events_that_are_none_spoil_no_report(events: object) -> None:
    assert RunReport.model_validate({"invocation_id": "i", "attempt": 1, "events": events}).events == ()


@given(names=st.lists(st.text() | st.sampled_from(["agent_started", "agent_exited"])), at=CLAIM)
def test_the_events_of_a_report_are_known_ones_and_few(names: list[str], at: object) -> None:
    claimed = [{"name": name, "at_milliseconds": at} for name in names]
    told = {"invocation_id": "i", "attempt": 1, "events": claimed, "began_at_milliseconds": at}
    report = RunReport.model_validate(told)
    assert {event.name for event in report.events} <= {"agent_started", "agent_exited"}
    assert len(report.events) <= 2
