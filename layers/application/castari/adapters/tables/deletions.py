"""Deletions that are under way, kept in the agents table under a key that no user has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from castari.adapters.aws import aws_errors
from castari.adapters.tables.codec import Item, key
from castari.models import Deletion

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class DeletionsTable:
    """One row for each agent of which something is left."""

    client: "DynamoDBClient"
    name: str

    def put(self, deletion: Deletion) -> None:
        """Write how far a deletion got."""
        row = _key(deletion) | {"deletion": {"S": deletion.model_dump_json()}}
        with aws_errors("DynamoDB"):
            self.client.put_item(TableName=self.name, Item=row)

    def list(self, user_id: str) -> list[Deletion]:
        """Return a user's deletions that are under way, the agents' ids in order."""
        with aws_errors("DynamoDB"):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.name,
                KeyConditionExpression="user_id = :user",
                ExpressionAttributeValues={":user": {"S": _owner(user_id)}},
            )
            return [
                Deletion.model_validate_json(row["deletion"]["S"]) for page in pages for row in page["Items"]
            ]

    def delete(self, deletion: Deletion) -> None:
        """Remove the row: nothing is left of the agent."""
        with aws_errors("DynamoDB"):
            self.client.delete_item(TableName=self.name, Key=_key(deletion))


def _key(deletion: Deletion) -> Item:
    return key(user_id=_owner(deletion.user_id), slug=deletion.agent_id)


def _owner(user_id: str) -> str:
    return f"deleting#{user_id}"
