"""The versions table: one row for each bundle that was made runnable, or was tried to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import condition_expression, from_item, key, set_expression, to_item
from castari.errors import NotFound, StaleWrite
from castari.models import Version, VersionStatus

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class VersionsTable:
    """Rows of versions; their ids sort by time."""

    client: "DynamoDBClient"
    name: str

    def create(self, version: Version) -> None:
        """Write a first row. Raises `StaleWrite` if the id is in use."""
        with aws_errors("DynamoDB"):
            try:
                self.client.put_item(
                    TableName=self.name,
                    Item=to_item(version),
                    **condition_expression({"version_id": None}),
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise StaleWrite(f"version {version.version_id} is there already") from error

    def get(self, agent_id: str, version_id: str) -> Version:
        """Read one row, strongly consistent. Raises `NotFound`."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name,
                Key=key(agent_id=agent_id, version_id=version_id),
                ConsistentRead=True,
            )
        if "Item" not in found:
            raise NotFound("Version not found")
        return from_item(Version, found["Item"])

    def list(self, agent_id: str, *, limit: int, offset: int = 0) -> list[Version]:
        """Return an agent's versions, newest first."""
        return list(islice(self.all(agent_id), offset, offset + limit))

    def all(self, agent_id: str) -> Iterator[Version]:
        """Yield all versions of an agent, newest first."""
        with aws_errors("DynamoDB"):
            for page in self.client.get_paginator("query").paginate(
                TableName=self.name,
                KeyConditionExpression="agent_id = :agent",
                ExpressionAttributeValues={":agent": {"S": agent_id}},
                ScanIndexForward=False,
            ):
                for item in page["Items"]:
                    yield from_item(Version, item)

    def change(self, version: Version, changes: Mapping[str, object]) -> Version:
        """Change a row with the status and attempt of `version`; return it changed. Raises `StaleWrite`."""
        with aws_errors("DynamoDB"):
            try:
                self.client.update_item(
                    TableName=self.name,
                    Key=key(agent_id=version.agent_id, version_id=version.version_id),
                    **set_expression(changes, {"status": version.status, "attempt": version.attempt}),
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise StaleWrite(f"version {version.version_id} moved on") from error
        return version.model_copy(update=dict(changes))

    def having(self, version: Version, status: VersionStatus) -> dict[str, Any]:
        """Return the check of a transaction that the row is there and has this status."""
        return {
            "TableName": self.name,
            "Key": key(agent_id=version.agent_id, version_id=version.version_id),
            **condition_expression({"status": status}),
        }

    def delete(self, version: Version) -> None:
        """Remove a row; one that is gone is fine."""
        with aws_errors("DynamoDB"):
            self.client.delete_item(
                TableName=self.name,
                Key=key(agent_id=version.agent_id, version_id=version.version_id),
            )
