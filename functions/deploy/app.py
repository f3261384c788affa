"""Queue: makes bundles runnable and switches their agents to them."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import bootstrap_sandboxes
from castari.observability import logger, metrics, tracer
from castari.triggers import deploys_of

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def _deploy(record: SQSRecord) -> None:
    for wish in deploys_of(record.body):
        deploying = bootstrap_sandboxes.deploys().deploy(wish.agent.user_id, wish.agent.slug, wish.bundle_key)
        result = bootstrap_sandboxes.run(deploying)
        logger.info("deploy", extra={**wish.agent.model_dump(), "key": wish.bundle_key, "result": result})
        metrics.add_metric("Deploys", "Count", 1)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:  # noqa: ANN401 - Powertools' own mapping
    """Deploy what a batch of messages names; those that failed are delivered again."""
    return process_partial_response(event, _deploy, _processor, context)
