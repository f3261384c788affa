"""The invocations table. Every change of status is one conditional write that checks the attempt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables import callbacks, requests, transactions
from castari.adapters.tables.codec import (
    condition_expression,
    encode_time,
    from_item,
    key,
    set_expression,
    to_item,
)
from castari.adapters.tables.usage import UsageTable
from castari.adapters.tables.warm import WarmTable
from castari.errors import NotFound, RequestRepeated, StaleWrite, VendorUnavailable, WarmSandboxTaken
from castari.models import DailyUsage, History, Invocation, InvocationStatus, WarmSandbox

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Write = dict[str, Any]
_KEPT_SECONDS = 90 * 24 * 3600
_OPEN = {"open": "open"}
"""Present on a row until it is terminal: what an index lists by deadline."""


@dataclass(frozen=True)
class InvocationsTable:
    """Rows of invocations; `warm` and `usage` take part in its transactions."""

    client: "DynamoDBClient"
    name: str
    warm: WarmTable
    usage: UsageTable

    def create(self, invocation: Invocation, *, taking: WarmSandbox | None = None) -> None:
        """Write a first row, and take a warm sandbox and the idempotency key with the same stroke.

        Raises `WarmSandboxTaken` if somebody else was faster, `RequestRepeated` if the key is in use,
        `StaleWrite` if the id is.
        """
        put, *claim = self.creation(invocation)
        self._write(put, taking, claim[0] if claim else None)

    def change(
        self, invocation: Invocation, changes: Mapping[str, object], *, taking: WarmSandbox | None = None
    ) -> Invocation:
        """Change an open row that still has the status and attempt of `invocation`; return it changed.

        Raises `WarmSandboxTaken` if the warm sandbox is gone, `StaleWrite` if the row moved on.
        """
        self._write(self.update(invocation, changes), taking, None)
        return invocation.model_copy(update=dict(changes))

    def finish(
        self,
        invocation: Invocation,
        changes: Mapping[str, object],
        usage: DailyUsage,
        *,
        again: bool = False,
    ) -> Invocation:
        """Make a row terminal and count it; `again` frees its idempotency key for another try.

        Raises `StaleWrite` for all but the first who tries.
        """
        update, *freed = self.ending(invocation, changes, again=again)
        counted = {"Update": self.usage.increment(invocation.user_id, usage)}
        try:
            transactions.write(self.client, [update, counted, *freed])
        except transactions.ConditionsFailed as error:
            raise _moved_on(invocation) from error
        except transactions.Contended:
            # Everybody counts on the same row of a busy user; the answer must not wait for that.
            self._write(update, None, freed[0] if freed else None)
            self.usage.add(invocation.user_id, usage)
        return invocation.model_copy(update=dict(changes))

    def get(self, invocation_id: str) -> Invocation:
        """Read one row, strongly consistent. Raises `NotFound`."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name, Key=key(invocation_id=invocation_id), ConsistentRead=True
            )
        if "Item" not in found:
            raise NotFound("Invocation not found")
        return from_item(Invocation, found["Item"])

    def status(self, invocation_id: str) -> InvocationStatus | None:
        """Return the status of a moment ago, at half the price of a whole row; None if there is none."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name,
                Key=key(invocation_id=invocation_id),
                ProjectionExpression="#status",
                ExpressionAttributeNames={"#status": "status"},
            )
        return cast("InvocationStatus", found["Item"]["status"]["S"]) if "Item" in found else None

    def list_for_agent(
        self, agent_id: str, *, limit: int, offset: int, history: History | None = None
    ) -> list[Invocation]:
        """Return those of an agent's invocations that are wanted, newest first.

        Times are part of the index's key; status and session are looked for among the rows between them.
        """
        wanted = history or History()
        condition, values = (
            "agent_id = :v AND created_at BETWEEN :since AND :until",
            {
                ":v": agent_id,
                ":since": encode_time(wanted.since) if wanted.since else "0",
                # Up to the microsecond before.
                ":until": encode_time(wanted.until - timedelta(microseconds=1)) if wanted.until else "9",
            },
        )
        terms, names = [], {}
        for name, value in (("status", wanted.status), ("session_id", wanted.session_id)):
            if value is not None:
                terms.append(f"#{name} = :{name}")
                names[f"#{name}"] = name
                values[f":{name}"] = value
        rows = self._query(
            "by_agent", condition, values, names=names, filtered=" AND ".join(terms), newest_first=True
        )
        return list(islice(rows, offset, offset + limit))

    def arrivals(self, agent_id: str, since: datetime, *, limit: int) -> list[datetime]:
        """Return when an agent's latest invocations came, the newest first. The index lags a moment."""
        with aws_errors("DynamoDB"):
            found = self.client.query(
                TableName=self.name,
                IndexName="by_agent",
                KeyConditionExpression="agent_id = :agent AND created_at > :since",
                ExpressionAttributeValues={":agent": {"S": agent_id}, ":since": {"S": encode_time(since)}},
                ProjectionExpression="created_at",
                ScanIndexForward=False,
                Limit=limit,
            )
        return [datetime.fromisoformat(item["created_at"]["S"]) for item in found["Items"]]

    def overdue(self, now: datetime) -> Iterator[Invocation]:
        """Yield open rows past their deadline, the longest overdue first. The index lags a moment behind."""
        return self._query(
            "open_by_deadline",
            "#open = :v AND deadline_at < :now",
            {":v": "open", ":now": encode_time(now)},
            names={"#open": "open"},
        )

    def open(self) -> Iterator[Invocation]:
        """Yield all open rows. The index lags a moment behind."""
        return self._query("open_by_deadline", "#open = :v", {":v": "open"}, names={"#open": "open"})

    def delete(self, invocation_id: str) -> None:
        """Remove a row; one that is gone is fine."""
        with aws_errors("DynamoDB"):
            self.client.delete_item(TableName=self.name, Key=key(invocation_id=invocation_id))

    def creation(self, invocation: Invocation) -> list[Write]:
        """Return what writes a first row and, if it has one, takes its idempotency key: of a transaction."""
        claim = [requests.claim(self.name, invocation.request, invocation)] if invocation.request else []
        return [self.first_write(invocation), *claim]

    def update(self, invocation: Invocation, changes: Mapping[str, object]) -> Write:
        """Return what changes a row that has the status and attempt of `invocation`: of a transaction."""
        expected = {"status": invocation.status, "attempt": invocation.attempt}
        return {
            "Update": {
                "TableName": self.name,
                "Key": key(invocation_id=invocation.invocation_id),
                **set_expression(changes, expected),
            }
        }

    def ending(self, invocation: Invocation, changes: Mapping[str, object], *, again: bool) -> list[Write]:
        """Return what makes a row terminal and, with `again`, frees its idempotency key: of a transaction."""
        freed = [requests.free(self.name, invocation.request)] if invocation.request and again else []
        still_open = callbacks.DUE if invocation.callback else None
        return [self.update(invocation, {**changes, "open": still_open}), *freed]

    def _write(
        self, write: Mapping[str, Any], taking: WarmSandbox | None, request: Mapping[str, Any] | None
    ) -> None:
        with_it = [request] if request else []
        taken = [{"Delete": self.warm.removal(taking)}] if taking else []
        try:
            if with_it or taken:
                transactions.write(self.client, [write, *with_it, *taken])
            else:
                self._write_alone(write)
        except transactions.ConditionsFailed as error:
            if 0 in error.indexes:
                raise StaleWrite("the invocation moved on") from error
            if request and 1 in error.indexes:
                raise RequestRepeated("a request with this idempotency key was made before") from error
            raise WarmSandboxTaken("somebody else took the warm sandbox") from error
        except transactions.Contended as error:
            if taking:
                raise WarmSandboxTaken("others reach for the same warm sandbox") from error
            raise VendorUnavailable("others write the same rows: try again in a moment") from error

    def _write_alone(self, write: Mapping[str, Any]) -> None:
        with aws_errors("DynamoDB"):
            try:
                if "Put" in write:
                    self.client.put_item(**write["Put"])
                else:
                    self.client.update_item(**write["Update"])
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise StaleWrite("the invocation moved on") from error

    def first_write(self, invocation: Invocation) -> dict[str, Any]:
        """Return what writes a first row under an id that nobody has, for a transaction."""
        absent = condition_expression({"invocation_id": None})
        return {"Put": {"TableName": self.name, "Item": self.first_item(invocation), **absent}}

    def first_item(self, invocation: Invocation) -> dict[str, Any]:
        """Return a first row."""
        return to_item(invocation, **_OPEN, expires_at_epoch=_expiry(invocation.created_at))

    def _query(
        self,
        index: str,
        condition: str,
        values: Mapping[str, str],
        *,
        names: Mapping[str, str] | None = None,
        filtered: str = "",
        newest_first: bool = False,
    ) -> Iterator[Invocation]:
        query: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {name: {"S": value} for name, value in values.items()},
            "ScanIndexForward": not newest_first,
            **({"ExpressionAttributeNames": dict(names)} if names else {}),
            **({"FilterExpression": filtered} if filtered else {}),
        }
        with aws_errors("DynamoDB"):
            for page in self.client.get_paginator("query").paginate(**query):
                for item in page["Items"]:
                    yield from_item(Invocation, item)


def _expiry(created_at: datetime) -> int:
    return int(created_at.timestamp()) + _KEPT_SECONDS


def _moved_on(invocation: Invocation) -> StaleWrite:
    return StaleWrite(f"invocation {invocation.invocation_id} moved on")
