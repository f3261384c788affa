"""The capacity row: which sandboxes were made in the last second, and how many there are at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import condition_expression, encode, from_item, key, set_expression
from castari.models import CapacityState

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_ROW = {"kind": "capacity", "place": "now"}
_FREE = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class CapacityTable:
    """One row that every creation passes through; `version` moves with each of them."""

    client: "DynamoDBClient"
    name: str

    def read(self) -> CapacityState:
        """Return the row as it is now, strongly consistent."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(TableName=self.name, Key=key(**_ROW), ConsistentRead=True)
        return from_item(CapacityState, found.get("Item", {}))

    def take(self, seen: CapacityState, changes: Mapping[str, object], *, below: int | None) -> bool:
        """Count one more and set `changes`, if no creation came between and fewer than `below` exist."""
        condition = condition_expression({"version": seen.version or None})
        text, names = condition["ConditionExpression"], condition["ExpressionAttributeNames"]
        values = condition.get("ExpressionAttributeValues", {}) | {":one": {"N": "1"}}
        if below is not None:
            text += " AND (attribute_not_exists(alive) OR alive < :below)"
            values[":below"] = encode(below)
        sets = ", ".join(f"#{name} = :{name}" for name in changes)
        return self._written(
            UpdateExpression=(f"SET {sets} " if sets else "") + "ADD version :one, alive :one",
            ConditionExpression=text,
            ExpressionAttributeNames=names | {f"#{name}": name for name in changes},
            ExpressionAttributeValues=values | {f":{name}": encode(value) for name, value in changes.items()},
        )

    def give_back(self) -> bool:
        """Count one sandbox less; tell whether somebody waits for it, which is told once."""
        with aws_errors("DynamoDB"):
            before = self.client.update_item(
                TableName=self.name,
                Key=key(**_ROW),
                UpdateExpression="ADD alive :less REMOVE wanted",
                ExpressionAttributeValues={":less": {"N": "-1"}},
                ReturnValues="UPDATED_OLD",
            )
        return "wanted" in before.get("Attributes", {})

    def want(self, at_once: int) -> bool | None:
        """Ask to be told of the next end; tell whether nobody did before, None if there is room now."""
        with aws_errors("DynamoDB"):
            try:
                before = self.client.update_item(
                    TableName=self.name,
                    Key=key(**_ROW),
                    UpdateExpression="SET wanted = :yes",
                    ConditionExpression="alive >= :full",
                    ExpressionAttributeValues={":yes": {"BOOL": True}, ":full": encode(at_once)},
                    ReturnValues="UPDATED_OLD",
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                return None
        return "wanted" not in before.get("Attributes", {})

    def correct(self, by: int) -> None:
        """Add to the number of sandboxes, whatever else changes it meanwhile."""
        with aws_errors("DynamoDB"):
            self.client.update_item(
                TableName=self.name,
                Key=key(**_ROW),
                UpdateExpression="ADD alive :by",
                ExpressionAttributeValues={":by": encode(by)},
            )

    def begin_pacing(self, now: datetime, until: datetime) -> bool:
        """Become the one who waits for the next creation, unless another one is; tell whether."""
        return self._written(
            UpdateExpression="SET paced_until = :until",
            ConditionExpression="attribute_not_exists(paced_until) OR paced_until < :now",
            ExpressionAttributeValues={":until": encode(until), ":now": encode(now)},
        )

    def end_pacing(self) -> None:
        """Let another one wait."""
        self._written(**set_expression({"paced_until": _FREE}))

    def _written(self, **update: Any) -> bool:  # noqa: ANN401 - parameters of `update_item`
        with aws_errors("DynamoDB"):
            try:
                self.client.update_item(TableName=self.name, Key=key(**_ROW), **update)
            except ClientError as error:
                if not condition_failed(error):
                    raise
                return False
        return True
