"""The composition root: reads settings and builds what handlers call, each once for a worker.

Imports sit inside the functions, so that a Lambda pays only for what it uses:
boto3 costs 120 to 230 ms, e2b 300 to 530 ms.
"""

import os
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from castari import settings as settings_module
from castari.settings import Settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sqs import SQSClient

    from castari.adapters.bundle_bucket import BundleBucket
    from castari.adapters.queues import Queue
    from castari.adapters.results import ResultBucket
    from castari.adapters.secret_store import SecretStore
    from castari.adapters.tables.agents import AgentsTable
    from castari.adapters.tables.api_keys import ApiKeysTable
    from castari.adapters.tables.build_logs import BuildLogsTable
    from castari.adapters.tables.capacity import CapacityTable
    from castari.adapters.tables.deletions import DeletionsTable
    from castari.adapters.tables.invocations import InvocationsTable
    from castari.adapters.tables.line import LineTable
    from castari.adapters.tables.requests import RequestsTable
    from castari.adapters.tables.session_holds import SessionHolds
    from castari.adapters.tables.sessions import SessionsTable
    from castari.adapters.tables.usage import UsageTable
    from castari.adapters.tables.users import UsersTable
    from castari.adapters.tables.versions import VersionsTable
    from castari.adapters.tables.warm import WarmTable
    from castari.models import PlatformSecrets
    from castari.services.agents import Agents
    from castari.services.api_keys import ApiKeys
    from castari.services.authentication import Authentication
    from castari.services.callbacks import Callbacks
    from castari.services.cancels import Cancels
    from castari.services.completions import Completions
    from castari.services.finishes import Finishes
    from castari.services.foresight import Foresight
    from castari.services.invocation_batches import InvocationBatches
    from castari.services.invocations import Invocations
    from castari.services.logs import Logs
    from castari.services.long_polls import LongPolls
    from castari.services.requests import Requests
    from castari.services.requeues import Requeues
    from castari.services.rollbacks import Rollbacks
    from castari.services.secrets import Secrets
    from castari.services.session_rests import SessionRests
    from castari.services.sessions import Sessions
    from castari.services.switches import Switches
    from castari.services.uploads import Uploads
    from castari.services.usage import Usage
    from castari.services.versions import Versions


@cache
def settings() -> Settings:
    """Read the environment once."""
    return settings_module.load(os.environ)


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


@cache
def agents_table() -> "AgentsTable":
    """Return the agents table."""
    from castari.adapters.tables.agents import AgentsTable

    return AgentsTable(dynamodb(), settings().agents_table)


@cache
def deletions_table() -> "DeletionsTable":
    """Return the deletions under way, which the agents table holds."""
    from castari.adapters.tables.deletions import DeletionsTable

    return DeletionsTable(dynamodb(), settings().agents_table)


@cache
def capacity_table() -> "CapacityTable":
    """Return what counts sandboxes against the plan's limits."""
    from castari.adapters.tables.capacity import CapacityTable

    return CapacityTable(dynamodb(), settings().capacity_table)


@cache
def line_table() -> "LineTable":
    """Return the line of those who wait, which the capacity table holds."""
    from castari.adapters.tables.line import LineTable

    return LineTable(dynamodb(), settings().capacity_table)


@cache
def build_logs_table() -> "BuildLogsTable":
    """Return the build logs table."""
    from castari.adapters.tables.build_logs import BuildLogsTable

    return BuildLogsTable(dynamodb(), settings().build_logs_table)


@cache
def bundle_bucket() -> "BundleBucket":
    """Return the bundle bucket."""
    from castari.adapters.bundle_bucket import BundleBucket

    return BundleBucket(s3(), sandbox_s3(), settings().bundle_bucket)


@cache
def secret_store() -> "SecretStore":
    """Return the store of agents' secrets."""
    from castari.adapters.secret_store import SecretStore

    return SecretStore(secrets_manager(), settings().agent_secret_prefix)


@cache
def platform_secrets() -> "PlatformSecrets":
    """Read the platform's own secret once for a worker."""
    from castari.adapters.secret_store import read_platform_secrets

    return read_platform_secrets(secrets_manager(), settings().platform_secret_id)


@cache
def deploy_queue() -> "Queue":
    """Return the queue of bundles to make runnable."""
    from castari.adapters.queues import Queue

    return Queue(sqs(), settings().deploy_queue_url)


@cache
def invocation_queue() -> "Queue":
    """Return the queue of invocations to start."""
    from castari.adapters.queues import Queue

    return Queue(sqs(), settings().invocation_queue_url)


@cache
def maintenance_queue() -> "Queue":
    """Return the queue that sweep consumes."""
    from castari.adapters.queues import Queue

    return Queue(sqs(), settings().maintenance_queue_url)


@cache
def callback_queue() -> "Queue":
    """Return the queue of callbacks to deliver."""
    from castari.adapters.queues import Queue

    return Queue(sqs(), settings().callback_queue_url)


@cache
def callbacks() -> "Callbacks":
    """Return what has the ends of invocations told."""
    from castari.adapters.tables.callbacks import CallbacksTable
    from castari.services.callbacks import Callbacks

    return Callbacks(CallbacksTable(dynamodb(), settings().invocations_table), callback_queue())


@cache
def api_keys_table() -> "ApiKeysTable":
    """Return the API keys table."""
    from castari.adapters.tables.api_keys import ApiKeysTable

    return ApiKeysTable(dynamodb(), settings().api_keys_table)


@cache
def users_table() -> "UsersTable":
    """Return the users table."""
    from castari.adapters.tables.users import UsersTable

    return UsersTable(dynamodb(), settings().users_table)


@cache
def usage_table() -> "UsageTable":
    """Return the usage table."""
    from castari.adapters.tables.usage import UsageTable

    return UsageTable(dynamodb(), settings().usage_table)


@cache
def versions_table() -> "VersionsTable":
    """Return the versions table."""
    from castari.adapters.tables.versions import VersionsTable

    return VersionsTable(dynamodb(), settings().versions_table)


@cache
def authentication() -> "Authentication":
    """Return what admits requests."""
    from castari.services.authentication import Authentication

    return Authentication(api_keys_table())


@cache
def agents() -> "Agents":
    """Return the agents service."""
    from castari.services.agents import Agents

    return Agents(agents_table(), deletions_table(), maintenance_queue(), settings().limits)


@cache
def foresight() -> "Foresight":
    """Return what reads ahead for keys that were let in before."""
    from castari.services.foresight import Foresight

    return Foresight(authentication(), agents(), warm_table())


@cache
def uploads() -> "Uploads":
    """Return the uploads service."""
    from castari.services.uploads import Uploads

    return Uploads(agents_table(), bundle_bucket(), deploy_queue(), settings().limits)


@cache
def secrets() -> "Secrets":
    """Return the secrets service."""
    from castari.services.secrets import Secrets

    return Secrets(agents_table(), secret_store(), settings().limits)


@cache
def api_keys() -> "ApiKeys":
    """Return the API keys service."""
    from castari.services.api_keys import ApiKeys

    return ApiKeys(api_keys_table(), settings().limits)


@cache
def usage() -> "Usage":
    """Return the usage service."""
    from castari.services.usage import Usage

    return Usage(usage_table())


@cache
def versions() -> "Versions":
    """Return the versions service."""
    from castari.services.versions import Versions

    return Versions(agents_table(), versions_table(), build_logs_table())


@cache
def switches() -> "Switches":
    """Return what switches agents to versions."""
    from castari.services.switches import Switches

    return Switches(agents_table(), versions_table())


@cache
def rollbacks() -> "Rollbacks":
    """Return what makes earlier versions serve again."""
    from castari.services.rollbacks import Rollbacks

    return Rollbacks(agents_table(), versions_table(), switches(), maintenance_queue())


@cache
def result_bucket() -> "ResultBucket":
    """Return the result bucket."""
    from castari.adapters.results import ResultBucket

    return ResultBucket(s3(), sandbox_s3(), settings().result_bucket)


@cache
def warm_table() -> "WarmTable":
    """Return the warm table."""
    from castari.adapters.tables.warm import WarmTable

    return WarmTable(dynamodb(), settings().warm_table)


@cache
def invocations_table() -> "InvocationsTable":
    """Return the invocations table."""
    from castari.adapters.tables.invocations import InvocationsTable

    return InvocationsTable(dynamodb(), settings().invocations_table, warm_table(), usage_table())


@cache
def requests_table() -> "RequestsTable":
    """Return the requests with idempotency keys, which the invocations table holds."""
    from castari.adapters.tables.requests import RequestsTable

    return RequestsTable(dynamodb(), settings().invocations_table)


@cache
def requests() -> "Requests":
    """Return what finds requests that were made before."""
    from castari.services.requests import Requests

    return Requests(requests_table(), invocations_table(), invocation_queue())


@cache
def sessions_table() -> "SessionsTable":
    """Return the sessions table."""
    from castari.adapters.tables.sessions import SessionsTable

    return SessionsTable(dynamodb(), settings().sessions_table)


@cache
def session_holds() -> "SessionHolds":
    """Return what changes invocations together with their sessions."""
    from castari.adapters.tables.session_holds import SessionHolds

    return SessionHolds(dynamodb(), invocations_table(), sessions_table())


@cache
def sessions() -> "Sessions":
    """Return sessions as their owner sees them."""
    from castari.services.sessions import Sessions

    return Sessions(sessions_table(), maintenance_queue())


@cache
def session_rests() -> "SessionRests":
    """Return what asks for the pauses of sessions."""
    from castari.services.session_rests import SessionRests

    return SessionRests(maintenance_queue(), settings().limits)


def keep_session() -> timedelta:
    """Return how long a session stays that nobody uses."""
    return timedelta(hours=settings().session_hours)


@cache
def invocations() -> "Invocations":
    """Return invocations as their owner sees them."""
    from castari.services.invocations import Invocations

    known = settings()
    return Invocations(invocations_table(), result_bucket(), invocation_queue(), requests(), known.limits)


@cache
def logs() -> "Logs":
    """Return the logs of invocations."""
    from castari.services.logs import Logs

    return Logs(invocations_table(), result_bucket(), settings().limits)


@cache
def requeues() -> "Requeues":
    """Return what queues invocations again."""
    from castari.services.requeues import Requeues

    return Requeues(invocations_table(), invocation_queue(), session_holds(), keep_session())


@cache
def finishes() -> "Finishes":
    """Return what makes invocations terminal."""
    from castari.services.finishes import Finishes

    return Finishes(
        invocations_table(), result_bucket(), requeues(), session_holds(), keep_session(), callbacks()
    )


@cache
def completions() -> "Completions":
    """Return what finishes invocations whose result was stored."""
    from castari.services.completions import Completions

    return Completions(invocations_table(), finishes(), maintenance_queue(), session_rests())


@cache
def cancels() -> "Cancels":
    """Return what cancels open invocations."""
    from castari.services.cancels import Cancels

    return Cancels(invocations_table(), finishes(), maintenance_queue())


@cache
def long_polls() -> "LongPolls":
    """Return what waits for invocations to be over."""
    from castari.services.long_polls import LongPolls

    return LongPolls(invocations_table())


@cache
def invocation_batches() -> "InvocationBatches":
    """Return what takes many prompts at once."""
    from castari.adapters.tables.invocation_batches import InvocationBatchesTable
    from castari.services.invocation_batches import InvocationBatches

    table = InvocationBatchesTable(invocations_table())
    return InvocationBatches(invocations(), table, requests(), invocation_queue())
