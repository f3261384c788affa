"""A function's logger, metrics and tracer; never give them prompts, answers, secrets or signed URLs."""

import os

from aws_lambda_powertools import Logger, Metrics, Tracer

_SERVICE = "castari"

logger = Logger(service=_SERVICE)
metrics = Metrics(service=_SERVICE, namespace="Castari")
# Lambda names its X-Ray daemon. Elsewhere there is none, and importing the SDK costs 180 ms.
tracer = Tracer(service=_SERVICE, disabled="AWS_XRAY_DAEMON_ADDRESS" not in os.environ)
