"""The build logs table: what builds say, entry by entry, readable while they run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import condition_expression, from_item, to_item
from castari.errors import StaleWrite
from castari.models import LogEntry

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_BATCH = 25
"""DynamoDB takes so many deletes at once."""


@dataclass(frozen=True)
class BuildLogsTable:
    """Rows of log entries, by version and offset."""

    client: "DynamoDBClient"
    name: str

    def append(self, entry: LogEntry) -> None:
        """Write an entry. Raises `StaleWrite` if its offset is taken: another worker writes this log."""
        with aws_errors("DynamoDB"):
            try:
                self.client.put_item(
                    TableName=self.name, Item=to_item(entry), **condition_expression({"offset": None})
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise StaleWrite(f"another worker writes the log of {entry.version_id}") from error

    def read(self, version_id: str, *, offset: int, limit: int) -> list[LogEntry]:
        """Return up to `limit` entries from `offset` on."""
        found = self._query(version_id, offset=offset)
        return [from_item(LogEntry, item) for item in islice(found, limit)]

    def length(self, version_id: str) -> int:
        """Return the offset of the next entry."""
        last = next(self._query(version_id, offset=0, ScanIndexForward=False, Limit=1), None)
        return int(last["offset"]["N"]) + 1 if last else 0

    def delete(self, version_id: str) -> None:
        """Remove a version's log."""
        rows = self._query(version_id, offset=0, ProjectionExpression="version_id, #offset")
        while batch := list(islice(rows, _BATCH)):
            self._delete_batch([{"DeleteRequest": {"Key": row}} for row in batch])

    def _delete_batch(self, requests: list[Any]) -> None:
        with aws_errors("DynamoDB"):
            while requests:
                done = self.client.batch_write_item(RequestItems={self.name: requests})
                requests = done.get("UnprocessedItems", {}).get(self.name, [])

    def _query(self, version_id: str, *, offset: int, **more: Any) -> Iterator[Any]:  # noqa: ANN401 - boto3's words
        with aws_errors("DynamoDB"):
            for page in self.client.get_paginator("query").paginate(
                TableName=self.name,
                KeyConditionExpression="version_id = :version AND #offset >= :offset",
                ExpressionAttributeNames={"#offset": "offset"},
                ExpressionAttributeValues={":version": {"S": version_id}, ":offset": {"N": str(offset)}},
                ConsistentRead=True,
                **more,
            ):
                yield from page["Items"]
