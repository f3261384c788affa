"""Batches of queue messages: those that fail are delivered again, and the log says why."""

import traceback
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.errors import VendorUnavailable
from castari.observability import logger, metrics


class Later(Exception):
    """Raised by what handles a message to have it again after so many seconds: no error, but not done."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


def process(
    event: dict[str, Any],
    context: LambdaContext,
    handle: Callable[[str], None],
    *,
    release: Callable[[str], None] | None = None,
    postpone: Callable[[str, int], None] | None = None,
) -> dict[str, Any]:
    """Give the body of each message to `handle`; return which failed, as SQS asks for it.

    `release` is given the receipt handle of each that failed, to have it delivered again sooner; `postpone`
    that of each that `handle` wants again `Later`, and the seconds.
    """
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    answered = process_partial_response(
        event, lambda record: _handle(record, handle, release, postpone), processor, context
    )
    failed = len(answered["batchItemFailures"])
    metrics.add_metric("Messages", "Count", len(event["Records"]))
    metrics.add_metric("FailedMessages", "Count", failed)
    return dict(answered)


def _handle(
    record: SQSRecord,
    handle: Callable[[str], None],
    release: Callable[[str], None] | None,
    postpone: Callable[[str, int], None] | None,
) -> None:
    try:
        handle(record.body)
    except Later as later:
        if postpone:
            postpone(record.receipt_handle, later.seconds)
        raise
    except Exception as error:
        logger.error("message failed", extra={"message_id": record.message_id, **_told(error)})
        if release:
            release(record.receipt_handle)
        raise


def _told(error: Exception) -> dict[str, object]:
    """Return what may be told of an error. Its text may quote what the message led to, unless it is ours."""
    trace = traceback.format_tb(error.__traceback__)
    reason = {"reason": str(error)} if isinstance(error, VendorUnavailable) else {}
    return {"error_type": type(error).__name__, "trace": trace, **reason}
