"""The users table: one row per user."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import condition_expression, from_item, key, to_item
from castari.errors import NotFound
from castari.models import User

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class UsersTable:
    """Rows of users."""

    client: "DynamoDBClient"
    name: str

    def get(self, user_id: str) -> User:
        """Read one user. Raises `NotFound`."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(TableName=self.name, Key=key(user_id=user_id))
        if "Item" not in found:
            raise NotFound("User not found")
        return from_item(User, found["Item"])

    def create_if_missing(self, user: User) -> None:
        """Write a user's first row; a row that is there already stays as it is."""
        with aws_errors("DynamoDB"):
            try:
                self.client.put_item(
                    TableName=self.name, Item=to_item(user), **condition_expression({"user_id": None})
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
