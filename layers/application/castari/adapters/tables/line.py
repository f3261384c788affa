"""The line: invocations that wait for a sandbox to be made, in the order in which their turn comes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import encode, encode_time, from_item, key, to_item
from castari.models import Waiting

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_PAGE = 25
_KEPT_SECONDS = 24 * 3600
_UNCALLED = "attribute_exists(place) AND (attribute_not_exists(called_until) OR called_until < :now)"


@dataclass(frozen=True)
class LineTable:
    """Rows of the waiting, beside the capacity they wait for; and each user's latest turn."""

    client: "DynamoDBClient"
    name: str

    def join(self, waiting: Waiting) -> None:
        """Wait at a place; one that waits there already stays as it is."""
        self._written(
            "put_item", Item=to_item(waiting, kind="waiting"), condition="attribute_not_exists(place)"
        )

    def is_empty(self) -> bool:
        """Tell whether nobody waits, strongly consistent."""
        return next(self._rows(limit=1), None) is None

    def heads(self, now: datetime) -> Iterator[Waiting]:
        """Yield who waits, the first first, without those whom somebody calls up just now."""
        for waiting in self._rows(limit=_PAGE):
            if waiting.called_until is None or waiting.called_until < now:
                yield waiting

    def call_up(self, waiting: Waiting, now: datetime, until: datetime) -> bool:
        """Keep others from calling it up until then; tell whether it was ours to call."""
        return self._written(
            "update_item",
            Key=key(kind="waiting", place=waiting.place),
            UpdateExpression="SET called_until = :until",
            condition=_UNCALLED,
            ExpressionAttributeValues={":until": {"S": encode_time(until)}, ":now": {"S": encode_time(now)}},
        )

    def leave(self, place: str) -> None:
        """Wait no longer; a place that is empty is fine."""
        with aws_errors("DynamoDB"):
            self.client.delete_item(TableName=self.name, Key=key(kind="waiting", place=place))

    def next_turn(self, user_id: str, running: int, now: datetime) -> int:
        """Return the user's next turn: after the user's others, and never before the `running` one."""
        while (turn := self._count(user_id, now)) <= running:
            self._written(
                "update_item",
                Key=key(kind="turn", place=user_id),
                UpdateExpression="SET latest = :running",
                condition="latest < :running",
                ExpressionAttributeValues={":running": encode(running)},
            )
        return turn

    def may_remind(self, topic: str, now: datetime, until: datetime) -> bool:
        """Tell whether nobody else sent this reminder, which is due at `until`."""
        return self._written(
            "update_item",
            Key=key(kind="reminder", place=topic),
            UpdateExpression="SET due_at = :until, expires_at_epoch = :epoch",
            condition="attribute_not_exists(due_at) OR due_at <= :now",
            ExpressionAttributeValues={
                ":until": {"S": encode_time(until)},
                ":now": {"S": encode_time(now)},
                ":epoch": _expiry(now),
            },
        )

    def _count(self, user_id: str, now: datetime) -> int:
        with aws_errors("DynamoDB"):
            written = self.client.update_item(
                TableName=self.name,
                Key=key(kind="turn", place=user_id),
                UpdateExpression="SET expires_at_epoch = :epoch ADD latest :one",
                ExpressionAttributeValues={":one": {"N": "1"}, ":epoch": _expiry(now)},
                ReturnValues="ALL_NEW",
            )
        return int(written["Attributes"]["latest"]["N"])

    def _rows(self, *, limit: int) -> Iterator[Waiting]:
        with aws_errors("DynamoDB"):
            for page in self.client.get_paginator("query").paginate(
                TableName=self.name,
                KeyConditionExpression="kind = :kind",
                ExpressionAttributeValues={":kind": {"S": "waiting"}},
                ConsistentRead=True,
                PaginationConfig={"PageSize": limit},
            ):
                for item in page["Items"]:
                    yield from_item(Waiting, item)

    def _written(self, operation: str, *, condition: str, **parameters: Any) -> bool:  # noqa: ANN401
        with aws_errors("DynamoDB"):
            try:
                getattr(self.client, operation)(
                    TableName=self.name, ConditionExpression=condition, **parameters
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                return False
        return True


def _expiry(now: datetime) -> dict[str, Any]:
    """Return when a row may go that says nothing any more; that one is there too long harms nobody."""
    return encode(int(now.timestamp()) + _KEPT_SECONDS)
