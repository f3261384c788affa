"""Queue: sends the results of invocations to whoever asked for a callback."""

import asyncio
from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import batches
from castari.bootstrap import callbacks, stores
from castari.bootstrap.settings import settings
from castari.errors import VendorUnavailable
from castari.messages import DeliverCallback
from castari.observability import logger, metrics, tracer

_RETRY_SECONDS = 30
_GIVEN_UP_SECONDS = 60
"""Until the queue sets a message aside that came as often as it may."""


def _deliver(body: str) -> None:
    message = DeliverCallback.model_validate_json(body)
    done = asyncio.run(callbacks.deliveries().deliver(message.invocation_id))
    logger.info("notify", extra={"invocation_id": message.invocation_id, "result": done.result})
    if done.again_seconds is not None:
        raise batches.Later(done.again_seconds)
    if done.gave_up:
        metrics.add_metric("CallbacksGivenUp", "Count", 1)
        longest = settings().limits.callback_longest_pause_seconds
        raise batches.Later(min(_GIVEN_UP_SECONDS, longest))


def _postpone(receipt_handle: str, seconds: int) -> None:
    with suppress(VendorUnavailable):
        stores.callback_queue().release(receipt_handle, seconds=seconds)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver what a batch of messages names; one that is to come again counts as failed until then."""
    return batches.process(
        event, context, _deliver, release=lambda handle: _postpone(handle, _RETRY_SECONDS), postpone=_postpone
    )
