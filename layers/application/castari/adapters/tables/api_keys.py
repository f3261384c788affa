"""The API keys table: one row per key, which also counts the key's requests of the running minute."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed, found_item
from castari.adapters.tables.codec import condition_expression, encode, from_item, key, to_item
from castari.errors import Conflict, NotFound, Unauthorized
from castari.models import ApiKey

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

RequestKind = Literal["crud", "invoke"]


@dataclass(frozen=True)
class Counted:
    """A key whose request was looked at: the `count`th of `window`, let in or not."""

    key: ApiKey
    window: int
    count: int
    admitted: bool


@dataclass(frozen=True)
class ApiKeysTable:
    """Rows of API keys; a key's text is never here, only its hash."""

    client: "DynamoDBClient"
    name: str

    def create(self, api_key: ApiKey) -> None:
        """Write a key. Raises `Conflict` if its prefix is taken."""
        with aws_errors("DynamoDB"):
            try:
                self.client.put_item(
                    TableName=self.name, Item=to_item(api_key), **condition_expression({"prefix": None})
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise Conflict("the prefix of this key is taken: try again") from error

    def list(self, user_id: str, *, limit: int, offset: int) -> list[ApiKey]:
        """Return a user's keys, newest first."""
        with aws_errors("DynamoDB"):
            found = self.client.query(
                TableName=self.name,
                IndexName="by_user",
                KeyConditionExpression="user_id = :user",
                ExpressionAttributeValues={":user": {"S": user_id}},
                ScanIndexForward=False,
                Limit=limit + offset,
            )
        return [from_item(ApiKey, item) for item in found["Items"][offset:]]

    def delete(self, user_id: str, prefix: str) -> None:
        """Remove a user's key. Raises `NotFound` if the user has none of that prefix."""
        with aws_errors("DynamoDB"):
            try:
                self.client.delete_item(
                    TableName=self.name,
                    Key=key(prefix=prefix),
                    **condition_expression({"user_id": user_id}),
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise NotFound("API key not found") from error

    def count_request(
        self, prefix: str, secret_hash: str, kind: RequestKind, window: int, at: datetime
    ) -> Counted:
        """Check a key and count one request of `kind` in the minute `window`, in one write as a rule.

        The first request of a minute takes a second write, which turns the window. Raises `Unauthorized`.
        """
        row = self._count(prefix, secret_hash, kind, window, at)
        if isinstance(row, Counted):
            return row
        if row is None or not hmac.compare_digest(row["secret_hash"]["S"], secret_hash):
            raise Unauthorized("API key not valid: check it, or create another")
        stored = int(row.get(f"{kind}_window", {"N": "-1"})["N"])
        if stored < window:
            self._turn(prefix, kind, stored, window)
        elif (count := int(row[f"{kind}_count"]["N"])) >= int(row[f"{kind}_per_minute"]["N"]):
            return Counted(from_item(ApiKey, row), stored, count, admitted=False)
        # The row's clock may be ahead of ours: its window counts.
        return self.count_request(prefix, secret_hash, kind, max(window, stored), at)

    def _count(
        self, prefix: str, secret_hash: str, kind: RequestKind, window: int, at: datetime
    ) -> Counted | dict[str, Any] | None:
        """Count within the running window; else return the row that did not let it (None: no such key)."""
        with aws_errors("DynamoDB"):
            try:
                written = self.client.update_item(
                    TableName=self.name,
                    Key=key(prefix=prefix),
                    UpdateExpression=f"SET last_used_at = :at ADD {kind}_count :one",
                    ConditionExpression=(
                        f"secret_hash = :hash AND {kind}_window = :window"
                        f" AND {kind}_count < {kind}_per_minute"
                    ),
                    ExpressionAttributeValues={
                        ":at": encode(at),
                        ":one": {"N": "1"},
                        ":hash": {"S": secret_hash},
                        ":window": encode(window),
                    },
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )["Attributes"]
            except ClientError as error:
                if not condition_failed(error):
                    raise
                return found_item(error)
        return Counted(from_item(ApiKey, written), window, int(written[f"{kind}_count"]["N"]), admitted=True)

    def _turn(self, prefix: str, kind: RequestKind, stored: int, window: int) -> None:
        """Begin a window at zero; it is fine if another request did so first."""
        expected = {f"{kind}_window": stored if stored >= 0 else None}
        condition = condition_expression(expected)
        values = condition.pop("ExpressionAttributeValues", {})
        with aws_errors("DynamoDB"):
            try:
                self.client.update_item(
                    TableName=self.name,
                    Key=key(prefix=prefix),
                    UpdateExpression=f"SET {kind}_window = :window, {kind}_count = :zero",
                    ExpressionAttributeValues={":window": encode(window), ":zero": {"N": "0"}, **values},
                    **condition,
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
