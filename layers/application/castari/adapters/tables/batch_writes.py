"""DynamoDB's batches of writes, which it may carry out in part: what it left is asked for again."""

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from castari.adapters.aws import aws_errors
from castari.errors import VendorUnavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.05


def write(client: "DynamoDBClient", table: str, requests: Sequence[Any]) -> None:
    """Carry out up to 25 puts or deletes, none of which has a condition.

    Raises `VendorUnavailable` when some are left after all tries; nobody knows the order of those done.
    """
    left, pause = list(requests), _FIRST_PAUSE_SECONDS
    for _ in range(_TRIES):
        with aws_errors("DynamoDB"):
            done = client.batch_write_item(RequestItems={table: left})
        left = done.get("UnprocessedItems", {}).get(table, [])
        if not left:
            return
        time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads writers, guards nothing
        pause *= 2
    raise VendorUnavailable(f"DynamoDB left {len(left)} of {len(requests)} writes undone: try again")
