"""Queue: makes bundles runnable and switches their agents to them."""

from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import batches
from castari.bootstrap import deploying, stores, vendor
from castari.errors import VendorUnavailable
from castari.observability import logger, metrics, tracer
from castari.triggers import deploys_of

_RETRY_SECONDS = 5
"""The queue hides a message for longer than any deploy may take; that one failed is known at once."""


def _deploy(body: str) -> None:
    for wish in deploys_of(body):
        result = vendor.run(deploying.deploys().deploy(wish))
        logger.info("deploy", extra={**wish.agent.model_dump(), "key": wish.bundle_key, "result": result})


def _release(receipt_handle: str) -> None:
    with suppress(VendorUnavailable):
        stores.deploy_queue().release(receipt_handle, seconds=_RETRY_SECONDS)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deploy what a batch of messages names."""
    return batches.process(event, context, _deploy, release=_release)
