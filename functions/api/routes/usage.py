"""What invocations came to, in all and by day."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from castari.bootstrap import catalogue
from castari.http.routing import Caller, create_router
from castari.schemas.usage import DailyUsageResponse, UsageResponse

router = create_router()
_TAGS = ["usage"]
Days = Annotated[int, Query(ge=1, le=365, description="how many days, today included")]


@router.get("/usage", summary="Usage in all", tags=_TAGS)
def get_usage(caller: Caller, days: Days = 30) -> UsageResponse:
    """Return the sum of the last days (UTC)."""
    return UsageResponse.of_days(catalogue.usage().daily(caller.user_id, days))


@router.get("/usage/daily", summary="Usage by day", tags=_TAGS)
def list_daily_usage(caller: Caller, days: Days = 30) -> list[DailyUsageResponse]:
    """Return each of the last days (UTC), oldest first, quiet days included."""
    return [DailyUsageResponse.of_day(day) for day in catalogue.usage().daily(caller.user_id, days)]
