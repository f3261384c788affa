"""The composition root of what touches sandboxes, apart from the other: importing e2b costs 300 to 530 ms.

A worker keeps one event loop, because connections live in it.
"""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from castari.bootstrap import (
    agents_table,
    build_logs_table,
    bundle_bucket,
    callbacks,
    cancels,
    capacity_table,
    deletions_table,
    deploy_queue,
    finishes,
    invocation_queue,
    invocations_table,
    keep_session,
    line_table,
    maintenance_queue,
    platform_secrets,
    requests,
    requeues,
    result_bucket,
    secret_store,
    session_holds,
    session_rests,
    sessions_table,
    settings,
    switches,
    versions_table,
    warm_table,
)
from castari.bootstrap_callbacks import callback_secret_store

if TYPE_CHECKING:
    from castari.adapters.sandboxes import Sandboxes
    from castari.adapters.sealing import Sealer
    from castari.services.attendance import Attendance
    from castari.services.build_sandboxes import BuildSandboxes
    from castari.services.builds import Builds
    from castari.services.calls import Calls
    from castari.services.capacity import Capacity
    from castari.services.checkouts import Checkouts
    from castari.services.claims import Claims
    from castari.services.deletions import Deletions
    from castari.services.deploy_checks import DeployChecks
    from castari.services.deploys import Deploys
    from castari.services.environments import Environments
    from castari.services.handovers import Handovers
    from castari.services.launches import Launches
    from castari.services.line import Line
    from castari.services.outputs import Outputs
    from castari.services.removals import Removals
    from castari.services.retention import Retention
    from castari.services.session_ends import SessionEnds
    from castari.services.session_launches import SessionLaunches
    from castari.services.session_pauses import SessionPauses
    from castari.services.starts import Starts
    from castari.services.sweep import Sweep
    from castari.services.warm import WarmPool

ResultT = TypeVar("ResultT")


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on the worker's event loop."""
    return _runner().run(work)


@cache
def sandboxes() -> "Sandboxes":
    """Return the sandbox service."""
    from castari.adapters.sandboxes import Sandboxes

    known = settings()
    return Sandboxes(
        deployment=known.deployment,
        api_key=platform_secrets().e2b_api_key,
        api_url=known.e2b_api_url,
        sandbox_url=known.e2b_sandbox_url,
        ended=capacity().give_back,
    )


@cache
def capacity() -> "Capacity":
    """Return what counts sandboxes against the plan's limits."""
    from castari.services.capacity import Capacity

    known = settings()
    return Capacity(
        table=capacity_table(),
        queue=invocation_queue(),
        maintenance=maintenance_queue(),
        creates_per_second=known.creates_per_second,
        sandboxes_at_once=known.sandboxes_at_once,
    )


@cache
def line() -> "Line":
    """Return the line of those who wait for a sandbox."""
    from castari.services.line import Line

    return Line(line_table(), capacity_table(), invocations_table(), capacity(), invocation_queue())


@cache
def sealer() -> "Sealer":
    """Return what seals access to warm sandboxes."""
    from castari.adapters.sealing import Sealer

    return Sealer(platform_secrets().sealing_key)


@cache
def environments() -> "Environments":
    """Return what puts the environments of attempts together."""
    from castari.services.environments import Environments

    key = platform_secrets().anthropic_api_key
    return Environments(secret_store(), result_bucket(), settings().limits, key)


@cache
def launches() -> "Launches":
    """Return what starts attempts."""
    from castari.services.launches import Launches

    return Launches(
        invocations=invocations_table(),
        warm=warm_table(),
        sandboxes=sandboxes(),
        sealer=sealer(),
        environments=environments(),
        maintenance=maintenance_queue(),
        line=line(),
        sessions=session_launches(),
    )


@cache
def outputs() -> "Outputs":
    """Return what reads what agents print."""
    from castari.services.live_output import LiveOutput
    from castari.services.outputs import Outputs

    return Outputs(invocations_table(), result_bucket(), LiveOutput(sandboxes(), sealer()))


@cache
def session_launches() -> "SessionLaunches":
    """Return what starts attempts in sessions."""
    from castari.services.session_launches import SessionLaunches

    return SessionLaunches(
        invocations=invocations_table(),
        holds=session_holds(),
        sessions=sessions_table(),
        sandboxes=sandboxes(),
        sealer=sealer(),
        environments=environments(),
        keep=keep_session(),
        most_per_agent=settings().limits.sessions_per_agent,
    )


@cache
def session_pauses() -> "SessionPauses":
    """Return what pauses the sandboxes of sessions."""
    from castari.services.session_pauses import SessionPauses

    return SessionPauses(sessions_table(), sandboxes(), settings().limits)


@cache
def session_ends() -> "SessionEnds":
    """Return what ends sessions."""
    from castari.services.session_ends import SessionEnds

    unused = f"nobody used it for {settings().session_hours} h"
    return SessionEnds(sessions_table(), sandboxes(), cancels(), unused)


@cache
def attendance() -> "Attendance":
    """Return what stays with an attempt."""
    from castari.services.attendance import Attendance

    return Attendance(finishes(), sandboxes().kill, session_rests())


@cache
def calls() -> "Calls":
    """Return what the HTTP invoke does."""
    from castari.services.calls import Calls

    return Calls(launches(), attendance(), finishes(), requests(), line())


@cache
def starts() -> "Starts":
    """Return what starts queued invocations."""
    from castari.services.starts import Starts

    return Starts(
        agents=agents_table(),
        invocations=invocations_table(),
        launches=launches(),
        finishes=finishes(),
        requeues=requeues(),
        line=line(),
        attendance=attendance(),
    )


@cache
def warm_pool() -> "WarmPool":
    """Return the warm sandboxes."""
    from castari.services.arrivals import Arrivals
    from castari.services.warm import WarmPool

    known = settings()
    return WarmPool(
        agents=agents_table(),
        warm=warm_table(),
        sandboxes=sandboxes(),
        sealer=sealer(),
        arrivals=Arrivals(invocations_table()),
        line=line(),
        maintenance=maintenance_queue(),
        limits=known.limits,
        size=known.warm_per_agent,
    )


@cache
def build_sandboxes() -> "BuildSandboxes":
    """Return what makes build sandboxes."""
    from castari.services.build_sandboxes import BuildSandboxes

    return BuildSandboxes(sandboxes(), capacity(), settings().limits)


@cache
def builds() -> "Builds":
    """Return what builds bundles."""
    from castari.services.builds import Builds

    known = settings()
    return Builds(build_sandboxes(), bundle_bucket(), secret_store(), known.limits, known.base_template)


@cache
def checkouts() -> "Checkouts":
    """Return what makes bundles from git repositories."""
    from castari.services.checkouts import Checkouts

    known = settings()
    return Checkouts(build_sandboxes(), bundle_bucket(), secret_store(), known.limits, known.base_template)


@cache
def claims() -> "Claims":
    """Return what says which worker carries out a deploy."""
    from castari.services.claims import Claims

    return Claims(versions_table(), maintenance_queue(), settings().limits)


@cache
def handovers() -> "Handovers":
    """Return what ends deploys."""
    from castari.services.handovers import Handovers

    return Handovers(versions_table(), build_logs_table(), switches(), warm_pool(), maintenance_queue())


@cache
def deploys() -> "Deploys":
    """Return what deploys bundles."""
    from castari.services.bundles import Bundles
    from castari.services.deploys import Deploys
    from castari.services.leftovers import Leftovers

    known = settings()
    return Deploys(
        agents=agents_table(),
        versions=versions_table(),
        logs=build_logs_table(),
        bundles=Bundles(bundle_bucket(), known.limits),
        checkouts=checkouts(),
        builds=builds(),
        claims=claims(),
        leftovers=Leftovers(sandboxes()),
        switches=switches(),
        handovers=handovers(),
        base_template=known.base_template,
    )


@cache
def sweep() -> "Sweep":
    """Return what ends the overdue."""
    from castari.observability import log_unexpected
    from castari.services.sweep import Sweep

    def unforeseen(invocation_id: str, error: Exception) -> None:
        log_unexpected(error, invocation_id=invocation_id)

    return Sweep(
        invocations=invocations_table(),
        versions=versions_table(),
        warm=warm_table(),
        sandboxes=sandboxes(),
        finishes=finishes(),
        requeues=requeues(),
        pool=warm_pool(),
        line=line(),
        session_ends=session_ends(),
        callbacks=callbacks(),
        limits=settings().limits,
        unforeseen=unforeseen,
    )


@cache
def deletions() -> "Deletions":
    """Return what removes agents."""
    from castari.services.deletions import Deletions

    return Deletions(
        agents=agents_table(),
        table=deletions_table(),
        versions=versions_table(),
        logs=build_logs_table(),
        invocations=invocations_table(),
        sandboxes=sandboxes(),
        secrets=secret_store(),
        callback_secrets=callback_secret_store(),
        bundles=bundle_bucket(),
        results=result_bucket(),
        pool=warm_pool(),
        cancels=cancels(),
        session_ends=session_ends(),
    )


@cache
def deploy_checks() -> "DeployChecks":
    """Return what looks after deploys."""
    from castari.services.deploy_checks import DeployChecks

    return DeployChecks(
        agents=agents_table(),
        versions=versions_table(),
        deploys=deploy_queue(),
        claims=claims(),
        switches=switches(),
        handovers=handovers(),
    )


@cache
def retention() -> "Retention":
    """Return what removes old versions."""
    from castari.services.retention import Retention

    return Retention(
        agents=agents_table(),
        versions=versions_table(),
        logs=build_logs_table(),
        sandboxes=sandboxes(),
        bundles=bundle_bucket(),
        pool=warm_pool(),
        keep=settings().versions_kept,
        sessions=sessions_table(),
    )


@cache
def removals() -> "Removals":
    """Return what carries out maintenance messages."""
    from castari.services.removals import Removals

    return Removals(
        agents=agents_table(),
        sandboxes=sandboxes(),
        pool=warm_pool(),
        deletions=deletions(),
        deploy_checks=deploy_checks(),
        retention=retention(),
        session_pauses=session_pauses(),
        session_ends=session_ends(),
        invocations=invocations_table(),
        maintenance=maintenance_queue(),
    )
