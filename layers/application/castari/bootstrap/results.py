"""The services of invocations that touch no sandbox: their requests, ends, logs and sessions."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import clients, stores, tables
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.services.callbacks import Callbacks
    from castari.services.cancels import Cancels
    from castari.services.completions import Completions
    from castari.services.finishes import Finishes
    from castari.services.invocation_batches import InvocationBatches
    from castari.services.invocations import Invocations
    from castari.services.logs import Logs
    from castari.services.long_polls import LongPolls
    from castari.services.requests import Requests
    from castari.services.requeues import Requeues
    from castari.services.session_rests import SessionRests
    from castari.services.sessions import Sessions


@cache
def callbacks() -> "Callbacks":
    """Return what has the ends of invocations told."""
    from castari.adapters.tables.callbacks import CallbacksTable
    from castari.services.callbacks import Callbacks

    return Callbacks(
        CallbacksTable(clients.dynamodb(), settings().invocations_table), stores.callback_queue()
    )


@cache
def requests() -> "Requests":
    """Return what finds requests that were made before."""
    from castari.services.requests import Requests

    return Requests(tables.requests_table(), tables.invocations_table(), stores.invocation_queue())


@cache
def sessions() -> "Sessions":
    """Return sessions as their owner sees them."""
    from castari.services.sessions import Sessions

    return Sessions(tables.sessions_table(), stores.maintenance_queue())


@cache
def session_rests() -> "SessionRests":
    """Return what asks for the pauses of sessions."""
    from castari.services.session_rests import SessionRests

    return SessionRests(stores.maintenance_queue(), settings().limits)


def keep_session() -> timedelta:
    """Return how long a session stays that nobody uses."""
    return timedelta(hours=settings().session_hours)


@cache
def invocations() -> "Invocations":
    """Return invocations as their owner sees them."""
    from castari.services.invocations import Invocations

    known = settings()
    return Invocations(
        tables.invocations_table(),
        stores.result_bucket(),
        stores.invocation_queue(),
        requests(),
        known.limits,
    )


@cache
def logs() -> "Logs":
    """Return the logs of invocations."""
    from castari.services.logs import Logs

    return Logs(tables.invocations_table(), stores.result_bucket(), settings().limits)


@cache
def requeues() -> "Requeues":
    """Return what queues invocations again."""
    from castari.services.requeues import Requeues

    return Requeues(
        tables.invocations_table(), stores.invocation_queue(), tables.session_holds(), keep_session()
    )


@cache
def finishes() -> "Finishes":
    """Return what makes invocations terminal."""
    from castari.services.finishes import Finishes

    return Finishes(
        tables.invocations_table(),
        stores.result_bucket(),
        requeues(),
        tables.session_holds(),
        keep_session(),
        callbacks(),
    )


@cache
def completions() -> "Completions":
    """Return what finishes invocations whose result was stored."""
    from castari.services.completions import Completions

    return Completions(tables.invocations_table(), finishes(), stores.maintenance_queue(), session_rests())


@cache
def cancels() -> "Cancels":
    """Return what cancels open invocations."""
    from castari.services.cancels import Cancels

    return Cancels(tables.invocations_table(), finishes(), stores.maintenance_queue())


@cache
def long_polls() -> "LongPolls":
    """Return what waits for invocations to be over."""
    from castari.services.long_polls import LongPolls

    return LongPolls(tables.invocations_table())


@cache
def invocation_batches() -> "InvocationBatches":
    """Return what takes many prompts at once."""
    from castari.adapters.tables.invocation_batches import InvocationBatchesTable
    from castari.services.invocation_batches import InvocationBatches

    table = InvocationBatchesTable(tables.invocations_table())
    return InvocationBatches(invocations(), table, requests(), stores.invocation_queue())
