"""Fixtures of every suite: a local AWS, and the stack's tables, buckets and queues on it."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.cloudformation import create_tables
from tests.ministack import CREDENTIALS, running_ministack

_TOLD = "told"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells whoever runs the tests what was found, whichever worker found it: in the summary at the end."""
    return lambda text: record_property(_TOLD, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests had to tell."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties if report.when == "call" else ():
                if name == _TOLD:
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {text}")


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    """The URL of a ministack that lives as long as this test worker."""
    with running_ministack() as url:
        yield url


def _client(service: str, url: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_REGION"],
        config=Config(retries={"max_attempts": 0}),
    )


@pytest.fixture(scope="session")
def stack_environment(ministack: str) -> dict[str, str]:
    """What the template sets for every function, with the tables, buckets, queues and secret it names."""
    sqs, s3 = _client("sqs", ministack), _client("s3", ministack)
    queues = {
        f"{kind}_QUEUE_URL": sqs.create_queue(QueueName=f"test-{kind.lower()}")["QueueUrl"]
        for kind in ("DEPLOY", "INVOCATION", "MAINTENANCE", "CALLBACK")
    }
    buckets = {"BUNDLE_BUCKET": "test-bundles", "RESULT_BUCKET": "test-results"}
    for name in buckets.values():
        s3.create_bucket(Bucket=name)
    platform = {"e2b_api_key": "e2b_test", "sealing_key": base64.b64encode(bytes(32)).decode()}
    _client("secretsmanager", ministack).create_secret(
        Name="test/platform", SecretString=json.dumps(platform)
    )
    return {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": ministack,
        "DEPLOYMENT": "test",
        "PLATFORM_SECRET_ID": "test/platform",
        "AGENT_SECRET_PREFIX": "test/agents",
        "CALLBACK_SECRET_PREFIX": "test/callbacks",
        "LOOPBACK_CALLBACK_PORT": "0",
        "CALLBACK_LONGEST_PAUSE_SECONDS": "36000",
        "BASE_TEMPLATE": "castari-base",
        "WARM_PER_AGENT": "1",
        "WARM_IDLE_SECONDS": "900",
        "CREATES_PER_SECOND": "0",
        "SANDBOXES_AT_ONCE": "0",
        "VERSIONS_KEPT": "10",
        "SESSION_HOURS": "24",
        "PRESIGN_ENDPOINT_URL": "",
        "E2B_API_URL": "",
        "E2B_SANDBOX_URL": "",
        "POWERTOOLS_SERVICE_NAME": "castari",
        "POWERTOOLS_METRICS_NAMESPACE": "Castari",
        "POWERTOOLS_TRACE_DISABLED": "true",
        **create_tables(_client("dynamodb", ministack), "test"),
        **queues,
        **buckets,
    }


@pytest.fixture(scope="session")
def stack(stack_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same, set for this process, so that `castari.bootstrap` builds the real adapters over it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack_environment.items():
            patch.setenv(name, value)
        yield stack_environment
