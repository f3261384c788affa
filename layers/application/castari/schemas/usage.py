"""What invocations came to."""

from collections.abc import Sequence
from datetime import date as Date  # noqa: N812 - a field has the name `date`
from typing import Self

from castari.models import DailyUsage
from castari.schemas.shapes import Response

MICRO_DOLLARS = 1_000_000


class UsageResponse(Response):
    """What a period came to; both ends are days that count."""

    total_invocations: int
    total_input_tokens: int
    total_output_tokens: int
    total_cost_usd: float
    period_start: Date
    period_end: Date

    @classmethod
    def of_days(cls, days: Sequence[DailyUsage]) -> Self:
        """Return the sum of a period's days, oldest first, at least one."""
        return cls(
            total_invocations=sum(day.invocation_count for day in days),
            total_input_tokens=sum(day.input_tokens for day in days),
            total_output_tokens=sum(day.output_tokens for day in days),
            total_cost_usd=sum(day.cost_micro_dollars for day in days) / MICRO_DOLLARS,
            period_start=days[0].date,
            period_end=days[-1].date,
        )


class DailyUsageResponse(Response):
    """What one day (UTC) came to."""

    date: Date
    invocation_count: int
    input_tokens: int
    output_tokens: int
    cost_usd: float

    @classmethod
    def of_day(cls, day: DailyUsage) -> Self:
        """Return the public shape of a day."""
        return cls.of(day, cost_usd=day.cost_micro_dollars / MICRO_DOLLARS)
