"""Buckets, queues and secrets."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import clients
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.adapters.bundle_bucket import BundleBucket
    from castari.adapters.queues import Queue
    from castari.adapters.results import ResultBucket
    from castari.adapters.secret_store import SecretStore
    from castari.models import PlatformSecrets


@cache
def bundle_bucket() -> "BundleBucket":
    """Return the bundle bucket."""
    from castari.adapters.bundle_bucket import BundleBucket

    return BundleBucket(clients.s3(), clients.sandbox_s3(), settings().bundle_bucket)


@cache
def result_bucket() -> "ResultBucket":
    """Return the result bucket."""
    from castari.adapters.results import ResultBucket

    return ResultBucket(clients.s3(), clients.sandbox_s3(), settings().result_bucket)


@cache
def secret_store() -> "SecretStore":
    """Return the store of agents' secrets."""
    from castari.adapters.secret_store import SecretStore

    return SecretStore(clients.secrets_manager(), settings().agent_secret_prefix)


@cache
def callback_secret_store() -> "SecretStore":
    """Return the store of the secrets that sign callbacks, apart from those that agents see."""
    from castari.adapters.secret_store import SecretStore

    return SecretStore(clients.secrets_manager(), settings().callback_secret_prefix)


@cache
def platform_secrets() -> "PlatformSecrets":
    """Read the platform's own secret once for a worker."""
    from castari.adapters.secret_store import read_platform_secrets

    return read_platform_secrets(clients.secrets_manager(), settings().platform_secret_id)


@cache
def deploy_queue() -> "Queue":
    """Return the queue of bundles to make runnable."""
    from castari.adapters.queues import Queue

    return Queue(clients.sqs(), settings().deploy_queue_url)


@cache
def invocation_queue() -> "Queue":
    """Return the queue of invocations to start."""
    from castari.adapters.queues import Queue

    return Queue(clients.sqs(), settings().invocation_queue_url)


@cache
def maintenance_queue() -> "Queue":
    """Return the queue that sweep consumes."""
    from castari.adapters.queues import Queue

    return Queue(clients.sqs(), settings().maintenance_queue_url)


@cache
def callback_queue() -> "Queue":
    """Return the queue of callbacks to deliver."""
    from castari.adapters.queues import Queue

    return Queue(clients.sqs(), settings().callback_queue_url)
