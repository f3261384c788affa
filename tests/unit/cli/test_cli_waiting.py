"""Asking again: gently, through short outages, and not for ever."""

from collections.abc import Callable

import pytest

from cast.errors import ApiError, CastError, Json, Unreachable
from cast.waiting import answers


def error(status: int, retry_after_seconds: float | None = None) -> ApiError:
    return ApiError("no", status=status, body={}, retry_after_seconds=retry_after_seconds)


def script(*steps: Json | CastError) -> Callable[[], Json]:
    left = list(steps)

    def ask() -> Json:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, CastError):
            raise step
        return step

    return ask


def test_answers_come_one_after_another_until_the_caller_stops() -> None:
    seen = []
    for answer in answers(script({"n": 1}, {"n": 2}), patience_seconds=60, sleep=lambda _: None):
        seen.append(answer["n"])
        if answer["n"] == 2:
            break
    assert seen == [1, 2]


def test_it_ends_when_the_pauses_are_over() -> None:
    pauses: list[float] = []
    assert len(list(answers(script({}), patience_seconds=30, sleep=pauses.append))) == len(pauses)
    assert 30 <= sum(pauses) < 32


def test_the_pauses_grow_so_that_a_minute_of_asking_stays_within_the_default_rate_limit() -> None:
    pauses: list[float] = []
    list(answers(script({}), patience_seconds=60, sleep=pauses.append))
    assert pauses[0] < 0.5
    assert pauses == sorted(pauses)
    assert len(pauses) < 60


@pytest.mark.parametrize(
    "outage", [error(429), error(500), error(502), error(503), error(504), Unreachable("x")]
)
def test_a_short_outage_is_waited_through(outage: CastError) -> None:
    ask = script(outage, outage, outage, outage, {"n": 1})
    assert next(answers(ask, patience_seconds=60, sleep=lambda _: None)) == {"n": 1}


def test_the_platform_says_how_long_to_wait() -> None:
    pauses: list[float] = []
    next(answers(script(error(429, 17), {}), patience_seconds=60, sleep=pauses.append))
    assert pauses == [17]


def test_five_failures_in_a_row_are_too_many() -> None:
    with pytest.raises(Unreachable):
        next(answers(script(Unreachable("x")), patience_seconds=60, sleep=lambda _: None))


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
def test_an_error_that_will_not_pass_ends_it_at_once(status: int) -> None:
    pauses: list[float] = []
    with pytest.raises(ApiError):
        next(answers(script(error(status)), patience_seconds=60, sleep=pauses.append))
    assert pauses == []
