"""DynamoDB transactions: all of a few writes or none, and which of them stood in the way."""

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, error_code

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_TRIES = 5
_PAUSE_SECONDS = 0.02


class ConditionsFailed(Exception):
    """Some conditions did not hold, so nothing was written; `indexes` tells whose."""

    def __init__(self, indexes: frozenset[int]) -> None:
        super().__init__(f"the conditions of writes {sorted(indexes)} do not hold")
        self.indexes = indexes


class Contended(Exception):
    """Other writers touched the same rows each time we tried; nothing was written."""


def write(client: "DynamoDBClient", writes: Sequence[Any]) -> None:
    """Carry out all writes or none. Raises `ConditionsFailed`, `Contended`, `VendorUnavailable`."""
    for _ in range(_TRIES):
        try:
            with aws_errors("DynamoDB"):
                _write_once(client, writes)
        except Contended:
            time.sleep(_PAUSE_SECONDS * (1 + random.random()))  # noqa: S311 - spreads writers, guards nothing
        else:
            return
    raise Contended


def _write_once(client: "DynamoDBClient", writes: Sequence[Any]) -> None:
    try:
        client.transact_write_items(TransactItems=list(writes))
    except ClientError as error:
        if error_code(error) != "TransactionCanceledException":
            raise
        codes = [str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])]
        failed = frozenset(i for i, code in enumerate(codes) if code == "ConditionalCheckFailed")
        if failed:
            raise ConditionsFailed(failed) from error
        if set(codes) <= {"None", "TransactionConflict"}:
            raise Contended from error
        raise
