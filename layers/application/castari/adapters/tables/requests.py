"""Requests with an idempotency key: rows in the invocations table, under ids that no invocation has."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from castari.adapters.aws import aws_errors
from castari.adapters.tables.codec import from_item, key
from castari.clock import Clock, utc_now
from castari.models import Invocation, MadeRequest, RequestKey

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_KEPT = timedelta(hours=24)


@dataclass(frozen=True)
class RequestsTable:
    """What each key stands for. Rows are written and freed by the transactions of their invocations."""

    client: "DynamoDBClient"
    name: str
    clock: Clock = utc_now

    def find(self, request: RequestKey) -> MadeRequest | None:
        """Return what a key stands for, strongly consistent; None where it is free."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name, Key=key(invocation_id=request.row_id), ConsistentRead=True
            )
        # DynamoDB removes expired rows within days.
        if "Item" not in found or int(found["Item"]["expires_at_epoch"]["N"]) <= self.clock().timestamp():
            return None
        return from_item(MadeRequest, found["Item"])


def claim(table: str, request: RequestKey, invocation: Invocation) -> dict[str, Any]:
    """Return the write of a transaction that gives a key to an invocation, if it is free."""
    now = invocation.created_at
    return {
        "Put": {
            "TableName": table,
            "Item": {
                "invocation_id": {"S": request.row_id},
                "body_hash": {"S": request.body_hash},
                "made": {"S": invocation.invocation_id},
                "expires_at_epoch": {"N": str(int((now + _KEPT).timestamp()))},
            },
            "ConditionExpression": "attribute_not_exists(invocation_id) OR expires_at_epoch <= :now",
            "ExpressionAttributeValues": {":now": {"N": str(int(now.timestamp()))}},
        }
    }


def free(table: str, request: RequestKey) -> dict[str, Any]:
    """Return the write of a transaction that frees a key, so that the same request may be made again."""
    return {
        "Update": {
            "TableName": table,
            "Key": key(invocation_id=request.row_id),
            "UpdateExpression": "SET expires_at_epoch = :past",
            "ExpressionAttributeValues": {":past": {"N": "0"}},
        }
    }
