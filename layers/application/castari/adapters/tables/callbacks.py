"""Callbacks: what the invocations table keeps of them, and which of them sweep has to look after."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import encode_time, from_item, key, set_expression
from castari.errors import StaleWrite
from castari.models import Callback, Invocation

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

DUE = "callback"
"""What a finished row has in `open` while its callback is under way: an index lists it by deadline."""


@dataclass(frozen=True)
class CallbacksTable:
    """The callbacks of finished invocations; each change checks that nobody made another one meanwhile."""

    client: "DynamoDBClient"
    name: str

    def change(self, invocation: Invocation, callback: Callback, *, look_at: datetime | None) -> Invocation:
        """Set a callback, and when sweep is to look after it (None: no more); return the invocation.

        Raises `StaleWrite` if it was changed meanwhile, or its row is gone.
        """
        changes: dict[str, object] = {"callback": callback, "open": DUE if look_at else None}
        if look_at:
            changes["deadline_at"] = look_at
        expected = {"status": invocation.status, "callback": invocation.callback}
        with aws_errors("DynamoDB"):
            try:
                self.client.update_item(
                    TableName=self.name,
                    Key=key(invocation_id=invocation.invocation_id),
                    **set_expression(changes, expected),
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise StaleWrite(f"the callback of {invocation.invocation_id} moved on") from error
        deadline = {"deadline_at": look_at} if look_at else {}
        return invocation.model_copy(update={"callback": callback, **deadline})

    def overdue(self, now: datetime) -> Iterator[Invocation]:
        """Yield finished invocations whose callback is to be looked after. The index lags a moment behind."""
        with aws_errors("DynamoDB"):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.name,
                IndexName="open_by_deadline",
                KeyConditionExpression="#open = :due AND deadline_at < :now",
                ExpressionAttributeNames={"#open": "open"},
                ExpressionAttributeValues={":due": {"S": DUE}, ":now": {"S": encode_time(now)}},
            )
            for page in pages:
                for item in page["Items"]:
                    yield from_item(Invocation, item)
