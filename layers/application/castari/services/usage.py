"""What a user's invocations came to, in all and by day."""

from dataclasses import dataclass
from datetime import timedelta

from castari.adapters.tables.usage import UsageTable
from castari.clock import Clock, utc_now
from castari.models import DailyUsage


@dataclass(frozen=True)
class Usage:
    """Reads the counters that finished invocations leave."""

    table: UsageTable
    clock: Clock = utc_now

    def daily(self, user_id: str, days: int) -> list[DailyUsage]:
        """Return each of the last `days` days, today included, oldest first; a quiet day is all zeros."""
        today = self.clock().date()
        first = today - timedelta(days=days - 1)
        counted = {day.date: day for day in self.table.list(user_id, first, today)}
        dates = (first + timedelta(days=number) for number in range(days))
        return [counted.get(date) or DailyUsage(date=date) for date in dates]
