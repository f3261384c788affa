"""The API keys table: one row per key, which also counts the key's requests of the running minute."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
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
_MOST_REMEMBERED = 1_000


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
    windows: dict[tuple[str, RequestKind], int] = field(default_factory=dict)
    """The minute in which this worker last saw a valid key's row: a later one can be begun at once."""

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

        A worker's first request with a key takes a second write if it begins the minute, and so does its
        first of a minute that another worker began. Raises `Unauthorized`.
        """
        begins = self.windows.get((prefix, kind), window) < window
        row = self._count(prefix, secret_hash, kind, window, at, begins=begins)
        if isinstance(row, Counted):
            self._remember(prefix, kind, window)
            return row
        if row is None or not hmac.compare_digest(row["secret_hash"]["S"], secret_hash):
            raise Unauthorized("API key not valid: check it, or create another")
        stored = int(row.get(f"{kind}_window", {"N": "-1"})["N"])
        self._remember(prefix, kind, stored)
        if stored >= window and (count := _number(row, f"{kind}_count")) >= _number(
            row, f"{kind}_per_minute"
        ):
            return Counted(from_item(ApiKey, row), stored, count, admitted=False)
        # The row's clock may be ahead of ours: its window counts.
        return self.count_request(prefix, secret_hash, kind, max(window, stored), at)

    def _count(
        self, prefix: str, secret_hash: str, kind: RequestKind, window: int, at: datetime, *, begins: bool
    ) -> Counted | dict[str, Any] | None:
        """Count within the running window, or as the first of a later one that begins with it.

        Else return the row that did not let it (None: no such key).
        """
        if begins:
            change = f"SET last_used_at = :at, {kind}_window = :window, {kind}_count = :one"
            lets_in = f"(attribute_not_exists({kind}_window) OR {kind}_window < :window)"
        else:
            change = f"SET last_used_at = :at ADD {kind}_count :one"
            lets_in = f"{kind}_window = :window AND {kind}_count < {kind}_per_minute"
        with aws_errors("DynamoDB"):
            try:
                written = self.client.update_item(
                    TableName=self.name,
                    Key=key(prefix=prefix),
                    UpdateExpression=change,
                    ConditionExpression=f"secret_hash = :hash AND {lets_in}",
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
        return Counted(from_item(ApiKey, written), window, _number(written, f"{kind}_count"), admitted=True)

    def _remember(self, prefix: str, kind: RequestKind, window: int) -> None:
        if len(self.windows) >= _MOST_REMEMBERED:
            self.windows.clear()
        self.windows[prefix, kind] = window


def _number(row: Mapping[str, Any], name: str) -> int:
    return int(row[name]["N"])
