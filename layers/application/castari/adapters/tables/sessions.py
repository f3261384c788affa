"""The sessions table. Every change is one conditional write that checks who holds the session."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed
from castari.adapters.tables.codec import (
    condition_expression,
    encode_time,
    from_item,
    key,
    set_expression,
    to_item,
)
from castari.errors import NotFound, StaleWrite
from castari.models import Session

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_KEPT_SECONDS = 24 * 3600
_CHECKED = ("status", "holder", "held_until", "sandbox_id", "last_used_at")
"""These differ after each use of a session, so a write that expects them meets the row it was made for."""


@dataclass(frozen=True)
class SessionsTable:
    """Rows of sessions, by agent."""

    client: "DynamoDBClient"
    name: str

    def get(self, agent_id: str, session_id: str) -> Session:
        """Read one row, strongly consistent. Raises `NotFound`."""
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name, Key=key(agent_id=agent_id, session_id=session_id), ConsistentRead=True
            )
        if "Item" not in found:
            raise NotFound("Session not found")
        return from_item(Session, found["Item"])

    def list_for_agent(self, agent_id: str, *, limit: int, offset: int) -> list[Session]:
        """Return an agent's sessions, the newest first. The index lags a moment behind."""
        rows = self._query(
            {
                "IndexName": "by_agent",
                "KeyConditionExpression": "agent_id = :agent",
                "ExpressionAttributeValues": {":agent": {"S": agent_id}},
                "ScanIndexForward": False,
            }
        )
        return list(islice(rows, offset, offset + limit))

    def all(self, agent_id: str) -> Iterator[Session]:
        """Yield all of an agent's sessions, strongly consistent."""
        return self._query(
            {
                "KeyConditionExpression": "agent_id = :agent",
                "ExpressionAttributeValues": {":agent": {"S": agent_id}},
                "ConsistentRead": True,
            }
        )

    def expired(self, now: datetime) -> Iterator[Session]:
        """Yield rows whose time is over, the longest overdue first. The index lags a moment behind."""
        return self._query(
            {
                "IndexName": "by_expiry",
                "KeyConditionExpression": "kept = :kept AND expires_at < :now",
                "ExpressionAttributeValues": {":kept": {"S": "kept"}, ":now": {"S": encode_time(now)}},
            }
        )

    def change(self, session: Session, changes: Mapping[str, object]) -> Session:
        """Change a row that is still as `session` says. Raises `StaleWrite` if it moved on."""
        with aws_errors("DynamoDB"):
            try:
                self.client.update_item(**self.update(session, changes))
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise StaleWrite("the session moved on") from error
        return session.model_copy(update=dict(changes))

    def delete(self, session: Session) -> None:
        """Remove a row; one that is gone is fine."""
        with aws_errors("DynamoDB"):
            self.client.delete_item(
                TableName=self.name, Key=key(agent_id=session.agent_id, session_id=session.session_id)
            )

    def creation(self, session: Session) -> dict[str, Any]:
        """Return what writes a first row, as `Put` of a transaction."""
        return {
            "TableName": self.name,
            "Item": to_item(session, kept="kept", **_time_to_live(session.expires_at)),
            **condition_expression({"session_id": None}),
        }

    def update(self, session: Session, changes: Mapping[str, object]) -> dict[str, Any]:
        """Return what changes a row that is still as `session` says, as `Update` of a transaction."""
        expected = {name: getattr(session, name) for name in _CHECKED}
        return self._set(session.agent_id, session.session_id, changes, expected)

    def release(
        self, agent_id: str, session_id: str, holder: str, changes: Mapping[str, object]
    ) -> dict[str, Any]:
        """Return what changes a row in which `holder` runs, as `Update` of a transaction."""
        return self._set(agent_id, session_id, changes, {"status": "busy", "holder": holder})

    def _set(
        self, agent_id: str, session_id: str, changes: Mapping[str, object], expected: Mapping[str, object]
    ) -> dict[str, Any]:
        expiry = changes.get("expires_at")
        more = _time_to_live(expiry) if isinstance(expiry, datetime) else {}
        return {
            "TableName": self.name,
            "Key": key(agent_id=agent_id, session_id=session_id),
            **set_expression({**changes, **more}, expected),
        }

    def _query(self, query: dict[str, Any]) -> Iterator[Session]:
        with aws_errors("DynamoDB"):
            for page in self.client.get_paginator("query").paginate(TableName=self.name, **query):
                for item in page["Items"]:
                    yield from_item(Session, item)


def _time_to_live(expires_at: datetime) -> dict[str, int]:
    """Return when DynamoDB may drop the row, long after sweep should have."""
    return {"expires_at_epoch": int(expires_at.timestamp()) + _KEPT_SECONDS}
