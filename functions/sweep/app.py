"""Schedule and queue: ends what is overdue, destroys sandboxes, fills warm pools, removes agents."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari import batches
from castari.bootstrap import sweeping, vendor
from castari.messages import MAINTENANCE
from castari.observability import logger, metrics, tracer


def _carry_out(body: str) -> None:
    message = MAINTENANCE.validate_json(body)
    result = vendor.run(sweeping.removals().carry_out(message))
    logger.info("maintenance", extra={**message.model_dump(mode="json"), "result": result})


def _sweep() -> None:
    done = vendor.run(sweeping.sweep().sweep())
    logger.info("sweep", extra=dict(done))
    metrics.add_metric("Sweeps", "Count", 1)
    for name, count in done.items():
        metrics.add_metric(f"Swept_{name}", "Count", count)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any] | None:
    """Carry out a batch of messages, or do a round when the schedule says so."""
    if "Records" in event:
        return batches.process(event, context, _carry_out)
    _sweep()
    return None
