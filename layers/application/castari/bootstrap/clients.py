"""AWS clients, each made once for a worker. Importing boto3 costs 120 to 230 ms."""

from functools import cache
from typing import TYPE_CHECKING, Any

from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sqs import SQSClient


def _client(service: str, endpoint_url: str | None = None) -> Any:  # noqa: ANN401 - boto3 makes them at run time
    import boto3

    from castari.adapters.aws import client_config

    return boto3.client(service, endpoint_url=endpoint_url, config=client_config(service))  # type: ignore[call-overload]


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the DynamoDB client."""
    client: DynamoDBClient = _client("dynamodb")
    return client


@cache
def s3() -> "S3Client":
    """Return the S3 client of the control plane itself."""
    client: S3Client = _client("s3")
    return client


@cache
def sandbox_s3() -> "S3Client":
    """Return the S3 client that signs URLs for sandboxes, which may see S3 under another address."""
    client: S3Client = _client("s3", settings().presign_endpoint_url or None)
    return client


@cache
def sqs() -> "SQSClient":
    """Return the SQS client."""
    client: SQSClient = _client("sqs")
    return client


@cache
def secrets_manager() -> "SecretsManagerClient":
    """Return the Secrets Manager client."""
    client: SecretsManagerClient = _client("secretsmanager")
    return client
