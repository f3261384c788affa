"""The agents table: one row per agent, keyed by user and slug."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, condition_failed, found_item
from castari.adapters.tables import transactions
from castari.adapters.tables.codec import (
    Item,
    condition_expression,
    from_item,
    key,
    set_expression,
    to_item,
)
from castari.errors import Conflict, NotFound, StaleWrite
from castari.models import Agent

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

NOT_FOUND = "Agent not found"
_SLUG = re.compile(r"[a-z0-9-]{1,63}")


@dataclass(frozen=True)
class AgentsTable:
    """Rows of agents; every write checks that the row is still the same agent."""

    client: "DynamoDBClient"
    name: str

    def create(self, agent: Agent) -> None:
        """Write a first row. Raises `Conflict` if the user has an agent of that slug."""
        with aws_errors("DynamoDB"):
            try:
                self.client.put_item(
                    TableName=self.name, Item=to_item(agent), **condition_expression({"slug": None})
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise Conflict(f"you have an agent `{agent.slug}` already: choose another slug") from error

    def get(self, user_id: str, slug: str) -> Agent:
        """Read one agent, strongly consistent. Raises `NotFound`."""
        if not _SLUG.fullmatch(slug):  # DynamoDB takes no key over 1 KiB
            raise NotFound(NOT_FOUND)
        with aws_errors("DynamoDB"):
            found = self.client.get_item(
                TableName=self.name, Key=key(user_id=user_id, slug=slug), ConsistentRead=True
            )
        if "Item" not in found:
            raise NotFound(NOT_FOUND)
        return from_item(Agent, found["Item"])

    def find(self, agent_id: str) -> Agent | None:
        """Read one agent by its id through an index, which lags a moment behind."""
        with aws_errors("DynamoDB"):
            found = self.client.query(
                TableName=self.name,
                IndexName="by_agent_id",
                KeyConditionExpression="agent_id = :id",
                ExpressionAttributeValues={":id": {"S": agent_id}},
            )
        return from_item(Agent, found["Items"][0]) if found["Items"] else None

    def list(self, user_id: str, *, limit: int, offset: int) -> list[Agent]:
        """Return a user's agents by slug, `limit` of them after the first `offset`."""
        with aws_errors("DynamoDB"):
            pages = self.client.get_paginator("query").paginate(
                TableName=self.name,
                KeyConditionExpression="user_id = :user",
                ExpressionAttributeValues={":user": {"S": user_id}},
                PaginationConfig={"PageSize": limit + offset},
            )
            rows = list(islice((item for page in pages for item in page["Items"]), offset, offset + limit))
        return [from_item(Agent, row) for row in rows]

    def update(
        self, agent: Agent, changes: Mapping[str, object], *, expected: Mapping[str, object] | None = None
    ) -> Agent:
        """Set `changes` while the row holds `expected` (`None` removes, or wants absent), and return the row.

        Raises `NotFound` if the agent is gone, `StaleWrite` if an expectation does not hold.
        """
        with aws_errors("DynamoDB"):
            try:
                written = self.client.update_item(
                    TableName=self.name,
                    Key=key(user_id=agent.user_id, slug=agent.slug),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **set_expression(changes, {"agent_id": agent.agent_id, **(expected or {})}),
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                raise _lost_write(agent, found_item(error)) from error
        return from_item(Agent, written["Attributes"])

    def update_checked(
        self, agent: Agent, changes: Mapping[str, object], *, expected: Mapping[str, object], check: Item
    ) -> Agent | None:
        """Set `changes` like `update`, if the check of another row holds too, in one transaction.

        Return the row, or None if an expectation does not hold; raises `StaleWrite` if the check does not.
        """
        change = {
            "TableName": self.name,
            "Key": key(user_id=agent.user_id, slug=agent.slug),
            **set_expression(changes, {"agent_id": agent.agent_id, **expected}),
        }
        try:
            transactions.write(self.client, [{"Update": change}, {"ConditionCheck": check}])
        except transactions.ConditionsFailed as error:
            if 0 not in error.indexes:
                raise StaleWrite("what the change depends on is not as it was: read it again") from error
            return None
        except transactions.Contended:
            return None
        return agent.model_copy(update=dict(changes))

    def delete(self, agent: Agent) -> None:
        """Remove the row if it is still this agent; a row that is gone is fine."""
        with aws_errors("DynamoDB"):
            try:
                self.client.delete_item(
                    TableName=self.name,
                    Key=key(user_id=agent.user_id, slug=agent.slug),
                    **condition_expression({"agent_id": agent.agent_id}),
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise


def _lost_write(agent: Agent, row: dict[str, object] | None) -> NotFound | StaleWrite:
    if row is None or row.get("agent_id") != {"S": agent.agent_id}:
        return NotFound(NOT_FOUND)
    return StaleWrite(f"agent `{agent.slug}` was changed by another request: read it again and retry")
