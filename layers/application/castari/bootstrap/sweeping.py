"""The services of `sweep`: what is overdue, old or to be removed."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import deploying, invoking, results, stores, tables, vendor
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.services.deletions import Deletions
    from castari.services.removals import Removals
    from castari.services.retention import Retention
    from castari.services.sweep import Sweep


@cache
def sweep() -> "Sweep":
    """Return what ends the overdue."""
    from castari.observability import log_unexpected
    from castari.services.sweep import Sweep

    def unforeseen(invocation_id: str, error: Exception) -> None:
        log_unexpected(error, invocation_id=invocation_id)

    return Sweep(
        invocations=tables.invocations_table(),
        versions=tables.versions_table(),
        warm=tables.warm_table(),
        sandboxes=vendor.sandboxes(),
        finishes=results.finishes(),
        requeues=results.requeues(),
        pool=invoking.warm_pool(),
        line=vendor.line(),
        session_ends=invoking.session_ends(),
        callbacks=results.callbacks(),
        limits=settings().limits,
        unforeseen=unforeseen,
    )


@cache
def deletions() -> "Deletions":
    """Return what removes agents."""
    from castari.services.deletions import Deletions

    return Deletions(
        agents=tables.agents_table(),
        table=tables.deletions_table(),
        versions=tables.versions_table(),
        logs=tables.build_logs_table(),
        invocations=tables.invocations_table(),
        sandboxes=vendor.sandboxes(),
        secrets=stores.secret_store(),
        callback_secrets=stores.callback_secret_store(),
        bundles=stores.bundle_bucket(),
        results=stores.result_bucket(),
        pool=invoking.warm_pool(),
        cancels=results.cancels(),
        session_ends=invoking.session_ends(),
    )


@cache
def retention() -> "Retention":
    """Return what removes old versions."""
    from castari.services.retention import Retention

    return Retention(
        agents=tables.agents_table(),
        versions=tables.versions_table(),
        logs=tables.build_logs_table(),
        sandboxes=vendor.sandboxes(),
        bundles=stores.bundle_bucket(),
        pool=invoking.warm_pool(),
        keep=settings().versions_kept,
        sessions=tables.sessions_table(),
    )


@cache
def removals() -> "Removals":
    """Return what carries out maintenance messages."""
    from castari.services.removals import Removals

    return Removals(
        agents=tables.agents_table(),
        sandboxes=vendor.sandboxes(),
        pool=invoking.warm_pool(),
        deletions=deletions(),
        deploy_checks=deploying.deploy_checks(),
        retention=retention(),
        session_pauses=invoking.session_pauses(),
        session_ends=invoking.session_ends(),
        invocations=tables.invocations_table(),
        maintenance=stores.maintenance_queue(),
    )
