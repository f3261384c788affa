"""Queue: starts invocations and leaves them to themselves."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import bootstrap_sandboxes
from castari.messages import StartInvocation
from castari.observability import logger, metrics, tracer

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def _start(record: SQSRecord) -> None:
    message = StartInvocation.model_validate_json(record.body)
    result = bootstrap_sandboxes.run(bootstrap_sandboxes.starts().start(message.invocation_id))
    logger.info("start", extra={"invocation_id": message.invocation_id, "result": result})
    metrics.add_metric("Starts", "Count", 1)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:  # noqa: ANN401 - Powertools' own mapping
    """Start what a batch of messages names; those that failed are delivered again."""
    return process_partial_response(event, _start, _processor, context)
