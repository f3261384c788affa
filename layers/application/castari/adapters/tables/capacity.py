"""The capacity row: which sandboxes there are or are promised, and which were promised in the last second."""

from collections.abc import Collection, Mapping
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
_ONE = {":one": {"N": "1"}}


@dataclass(frozen=True)
class CapacityTable:
    """One row that every creation passes through; `version` moves with whatever makes the count greater.

    Names are in sets: who adds one that is there or removes one that is not changes nothing.
    """

    client: "DynamoDBClient"
    name: str

    def read(self) -> CapacityState:
        """Return the row as it is now, strongly consistent."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(TableName=self.name, Key=key(**_ROW), ConsistentRead=True)
        return from_item(CapacityState, found.get("Item", {}))

    def promise(
        self, seen: CapacityState, promise: str, changes: Mapping[str, object], *, called: bool
    ) -> bool:
        """Count a promise and set `changes`, if nothing was counted since `seen` was read."""
        condition = condition_expression({"version": seen.version or None})
        text, names = condition["ConditionExpression"], condition["ExpressionAttributeNames"]
        values = condition.get("ExpressionAttributeValues", {}) | _ONE | {":promise": _names([promise])}
        sets = ", ".join(f"#{name} = :{name}" for name in changes)
        return self._written(
            UpdateExpression=(f"SET {sets} " if sets else "")
            + f"ADD version :one, {'calls' if called else 'promised'} :promise",
            ConditionExpression=text,
            ExpressionAttributeNames=names | {f"#{name}": name for name in changes},
            ExpressionAttributeValues=values | {f":{name}": encode(value) for name, value in changes.items()},
        )

    def redeem(self, called: str, promise: str) -> bool:
        """Turn a call into a promise; tell whether it was still there."""
        return self._written(
            UpdateExpression="DELETE calls :called ADD promised :promise",
            ConditionExpression="contains(calls, :name)",
            ExpressionAttributeValues={
                ":called": _names([called]),
                ":promise": _names([promise]),
                ":name": {"S": called},
            },
        )

    def keep(self, promise: str, sandbox_id: str) -> None:
        """Count a sandbox in place of the promise to make it."""
        self._written(
            UpdateExpression="DELETE promised :promise ADD sandboxes :made",
            ExpressionAttributeValues={":promise": _names([promise]), ":made": _names([sandbox_id])},
        )

    def release(self, names: Collection[str]) -> bool:
        """Count sandboxes, promises and calls no more; tell whether somebody waits, which is told once."""
        with aws_errors("DynamoDB"):
            before = self.client.update_item(
                TableName=self.name,
                Key=key(**_ROW),
                UpdateExpression="DELETE sandboxes :names, promised :names, calls :names"
                " ADD ended :one REMOVE wanted",
                ExpressionAttributeValues={":names": _names(names), **_ONE},
                ReturnValues="UPDATED_OLD",
            )
        return "wanted" in before.get("Attributes", {})

    def adopt(self, sandbox_ids: Collection[str]) -> None:
        """Count sandboxes that exist, however they came to."""
        self._written(
            UpdateExpression="ADD version :one, sandboxes :found",
            ExpressionAttributeValues={":found": _names(sandbox_ids), **_ONE},
        )

    def note_unseen(self, sandbox_ids: Collection[str], at: datetime) -> None:
        """Keep which sandboxes the service did not list."""
        ids = {":ids": _names(sandbox_ids)} if sandbox_ids else {}
        self._written(
            UpdateExpression="SET unseen_at = :at" + (", unseen = :ids" if ids else " REMOVE unseen"),
            ExpressionAttributeValues={":at": encode(at), **ids},
        )

    def want(self, seen: CapacityState) -> bool | None:
        """Ask to be told of the next end; tell whether nobody did before, None if one came since `seen`."""
        with aws_errors("DynamoDB"):
            try:
                before = self.client.update_item(
                    TableName=self.name,
                    Key=key(**_ROW),
                    UpdateExpression="SET wanted = :yes",
                    ExpressionAttributeValues={":yes": {"BOOL": True}, ":ended": encode(seen.ended)},
                    ConditionExpression="ended = :ended"
                    + ("" if seen.ended else " OR attribute_not_exists(ended)"),
                    ReturnValues="UPDATED_OLD",
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                return None
        return "wanted" not in before.get("Attributes", {})

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


def _names(names: Collection[str]) -> dict[str, Any]:
    return {"SS": sorted(set(names))}
