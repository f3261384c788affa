"""Queue: starts invocations and leaves them to themselves."""

from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import batches
from castari.bootstrap import invoking, stores, vendor
from castari.errors import VendorUnavailable
from castari.messages import WORK
from castari.observability import logger, metrics, tracer

_RETRY_SECONDS = 10
"""The queue hides a message for as long as any start may take; that one failed is known at once."""


def _start(body: str) -> None:
    work = WORK.validate_json(body)
    result = vendor.run(invoking.starts().carry_out(work))
    logger.info("start", extra={**work.model_dump(mode="json"), "result": result})


def _release(receipt_handle: str) -> None:
    with suppress(VendorUnavailable):
        stores.invocation_queue().release(receipt_handle, seconds=_RETRY_SECONDS)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Start what a batch of messages names."""
    return batches.process(event, context, _start, release=_release)
