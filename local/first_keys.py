"""What an operator does once on a new stack: the platform's own secret, and a first user with an API key."""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping

from local import deployment, processes
from local.identity import Identity

_PLATFORM_SECRET = "castari/platform"  # noqa: S105 - the name of a secret, not one
_OPERATOR = "operator@localhost"
_PER_MINUTE = "1000000"
"""The first key's limits: it measures the platform, not its limits."""


def make_platform_secret(stack: Identity) -> str:
    """Make the secret that template.yaml takes as a parameter, and return its ARN."""
    values = {
        "e2b_api_key": stack.sandbox_api_key,
        "sealing_key": base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    if key := os.environ.get("ANTHROPIC_API_KEY"):
        values["anthropic_api_key"] = key
    client = deployment.client("secretsmanager", stack)
    arn: str = client.create_secret(Name=_PLATFORM_SECRET, SecretString=json.dumps(values))["ARN"]
    return arn


def make_api_key(stack: Identity, email: str = _OPERATOR) -> str:
    """Make a user, unless there is one of this address, and a key as an operator does; return the key."""
    limits = ("--crud-per-minute", _PER_MINUTE, "--invoke-per-minute", _PER_MINUTE)
    command = [sys.executable, "-m", "castari.admin", "create-key", "--email", email, "--name", "local"]
    made = subprocess.run(
        [*command, *limits, "--json"],
        env=_operator_environment(stack),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise processes.ProcessFailed(f"no API key could be made: {made.stderr.strip()}")
    key: str = json.loads(made.stdout)["key"]
    return key


def _operator_environment(stack: Identity) -> Mapping[str, str]:
    variables = deployment.function_environment("ApiFunction", stack)
    return {"PATH": os.environ.get("PATH", ""), **variables, **stack.aws_environment}
