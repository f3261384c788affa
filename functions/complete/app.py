"""Bucket event: finishes invocations whose result was stored."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.bootstrap import results
from castari.observability import logger, metrics, tracer
from castari.triggers import stored_keys


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Finish each invocation that the event's keys name."""
    keys = stored_keys(event)
    for key in keys:
        result = results.completions().complete_key(key)
        logger.info("complete", extra={"key": key, "result": result})
    metrics.add_metric("Completions", "Count", len(keys))
