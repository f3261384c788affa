"""Rows of many invocations at once, in the invocations table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from castari.adapters.tables import batch_writes, requests, transactions
from castari.adapters.tables.codec import key
from castari.adapters.tables.invocations import InvocationsTable
from castari.errors import RequestRepeated, VendorUnavailable
from castari.models import Invocation

KEYED_PER_WRITE = 50
"""A transaction writes at most 100 items: two for each row with an idempotency key."""
PER_WRITE = 25


@dataclass(frozen=True)
class InvocationBatchesTable:
    """Writes first rows, and takes them back."""

    table: InvocationsTable

    def create(self, invocations: Sequence[Invocation]) -> None:
        """Write up to `PER_WRITE` rows under new ids. Raises `VendorUnavailable`: some may be there."""
        puts = [{"PutRequest": {"Item": self.table.first_item(each)}} for each in invocations]
        batch_writes.write(self.table.client, self.table.name, puts)

    def create_with_keys(self, invocations: Sequence[Invocation]) -> None:
        """Write up to `KEYED_PER_WRITE` rows and take their idempotency keys, all or none.

        Raises `RequestRepeated` if one of the keys is in use, `VendorUnavailable`.
        """
        writes: list[dict[str, Any]] = []
        for each in invocations:
            if each.request:
                writes += [self.table.first_write(each), requests.claim(self.table.name, each.request, each)]
        try:
            transactions.write(self.table.client, writes)
        except transactions.ConditionsFailed as error:
            raise RequestRepeated("a request with this idempotency key was made before") from error
        except transactions.Contended as error:
            raise VendorUnavailable("others write the same rows: try again in a moment") from error

    def delete(self, invocations: Sequence[Invocation]) -> None:
        """Remove up to `PER_WRITE` rows; those that are not there are fine. Raises `VendorUnavailable`."""
        rows = [key(invocation_id=each.invocation_id) for each in invocations]
        deletes = [{"DeleteRequest": {"Key": row}} for row in rows]
        batch_writes.write(self.table.client, self.table.name, deletes)
