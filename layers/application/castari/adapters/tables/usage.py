"""The usage table: one row per user and day, whose numbers only ever grow."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from castari.adapters.aws import aws_errors
from castari.adapters.tables.codec import encode, from_item, key
from castari.models import DailyUsage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_COUNTERS = ("invocation_count", "input_tokens", "output_tokens", "cost_micro_dollars")


@dataclass(frozen=True)
class UsageTable:
    """Counters by user and day."""

    client: "DynamoDBClient"
    name: str

    def increment(self, user_id: str, usage: DailyUsage) -> dict[str, Any]:
        """Return what adds `usage` to its day: for `update_item`, or as `Update` of a transaction."""
        return {
            "TableName": self.name,
            "Key": key(user_id=user_id, date=usage.date.isoformat()),
            "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in _COUNTERS),
            "ExpressionAttributeValues": {f":{name}": encode(getattr(usage, name)) for name in _COUNTERS},
        }

    def add(self, user_id: str, usage: DailyUsage) -> None:
        """Add to the counters of a day."""
        with aws_errors("DynamoDB"):
            self.client.update_item(**self.increment(user_id, usage))

    def list(self, user_id: str, first: date, last: date) -> list[DailyUsage]:
        """Return the days with any usage from `first` to `last`, both included, oldest first."""
        with aws_errors("DynamoDB"):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.name,
                KeyConditionExpression="user_id = :user AND #date BETWEEN :first AND :last",
                ExpressionAttributeNames={"#date": "date"},
                ExpressionAttributeValues={
                    ":user": {"S": user_id},
                    ":first": {"S": first.isoformat()},
                    ":last": {"S": last.isoformat()},
                },
            )
            return [from_item(DailyUsage, item) for page in pages for item in page["Items"]]
