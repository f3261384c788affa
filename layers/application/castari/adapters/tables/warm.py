"""The warm table: sandboxes that wait to be used. Whoever deletes a row owns its sandbox."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import encode_time, from_item, key, to_item
from castari.models import WarmSandbox

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class WarmTable:
    """Rows of warm sandboxes, by version."""

    client: "DynamoDBClient"
    name: str

    def put(self, warm: WarmSandbox) -> None:
        """Offer a sandbox."""
        with aws_errors("DynamoDB"):
            self.client.put_item(TableName=self.name, Item=to_item(warm, pool="warm"))

    def list(self, version_id: str, *, limit: int) -> list[WarmSandbox]:
        """Return up to `limit` warm sandboxes of a version, strongly consistent."""
        with aws_errors("DynamoDB"):
            found = self.client.query(
                TableName=self.name,
                KeyConditionExpression="version_id = :version",
                ExpressionAttributeValues={":version": {"S": version_id}},
                ConsistentRead=True,
                Limit=limit,
            )
        return [from_item(WarmSandbox, item) for item in found["Items"]]

    def exists(self, version_id: str, sandbox_id: str) -> bool:
        """Tell whether a sandbox is on offer, strongly consistent."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name,
                Key=key(version_id=version_id, sandbox_id=sandbox_id),
                ConsistentRead=True,
            )
        return "Item" in found

    def take(self, warm: WarmSandbox) -> bool:
        """Delete a row; tell whether it was ours to delete."""
        with aws_errors("DynamoDB"):
            try:
                self.client.delete_item(**self.removal(warm))
            except ClientError as error:
                if not condition_failed(error):
                    raise
                return False
        return True

    def removal(self, warm: WarmSandbox) -> dict[str, Any]:
        """Return what deletes a row that must be there, for `delete_item` or a transaction."""
        return {
            "TableName": self.name,
            "Key": key(version_id=warm.version_id, sandbox_id=warm.sandbox_id),
            "ConditionExpression": "attribute_exists(sandbox_id)",
        }

    def expired(self, now: datetime) -> Iterator[WarmSandbox]:
        """Yield sandboxes that waited long enough, the oldest first. The index lags a moment behind."""
        return self._query(" AND expires_at < :now", {":now": {"S": encode_time(now)}})

    def all(self) -> Iterator[WarmSandbox]:
        """Yield every sandbox on offer. The index lags a moment behind."""
        return self._query("", {})

    def _query(self, condition: str, values: dict[str, Any]) -> Iterator[WarmSandbox]:
        with aws_errors("DynamoDB"):
            for page in self.client.get_paginator("query").paginate(
                TableName=self.name,
                IndexName="by_expiry",
                KeyConditionExpression="#pool = :pool" + condition,
                ExpressionAttributeNames={"#pool": "pool"},
                ExpressionAttributeValues={":pool": {"S": "warm"}, **values},
            ):
                for item in page["Items"]:
                    yield from_item(WarmSandbox, item)
