"""Queue: makes bundles runnable and switches their agents to them."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import batches, bootstrap_sandboxes
from castari.observability import logger, metrics, tracer
from castari.triggers import deploys_of


def _deploy(body: str) -> None:
    for wish in deploys_of(body):
        deploying = bootstrap_sandboxes.deploys().deploy(
            wish.agent.user_id, wish.agent.slug, wish.bundle_key
        )
        result = bootstrap_sandboxes.run(deploying)
        logger.info("deploy", extra={**wish.agent.model_dump(), "key": wish.bundle_key, "result": result})


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deploy what a batch of messages names."""
    return batches.process(event, context, _deploy)
