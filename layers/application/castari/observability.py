"""A function's logger, metrics and tracer; never give them prompts, answers, secrets or signed URLs."""

import os
import traceback
from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools import Logger, Metrics, Tracer

_SERVICE = "castari"


class _Untraced:
    """Where no X-Ray daemon listens. A disabled tracer would still import the SDK, which costs 120 ms."""

    def capture_lambda_handler(self, **_: bool) -> Callable[..., Any]:
        """Return a decorator that changes nothing."""
        return lambda handler: handler


logger = Logger(service=_SERVICE)
metrics = Metrics(service=_SERVICE, namespace="Castari")
# Lambda names its X-Ray daemon; elsewhere there is none.
_is_traced = "AWS_XRAY_DAEMON_ADDRESS" in os.environ
tracer = Tracer(service=_SERVICE) if _is_traced else cast("Tracer", _Untraced())


def log_unexpected(error: Exception, **about: str) -> None:
    """Log and count an unforeseen error by where it came from; its text may hold a secret and is kept out."""
    logger.error(
        "unexpected error",
        extra={
            "error_type": type(error).__name__,
            "trace": traceback.format_tb(error.__traceback__),
            **about,
        },
    )
    metrics.add_metric("UnexpectedErrors", "Count", 1)
