"""The services of invocations: starts, attendance, live output, sessions and warm sandboxes."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import results, stores, tables, vendor
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.services.attendance import Attendance
    from castari.services.calls import Calls
    from castari.services.environments import Environments
    from castari.services.launches import Launches
    from castari.services.outputs import Outputs
    from castari.services.session_ends import SessionEnds
    from castari.services.session_launches import SessionLaunches
    from castari.services.session_pauses import SessionPauses
    from castari.services.starts import Starts
    from castari.services.warm import WarmPool


@cache
def environments() -> "Environments":
    """Return what puts the environments of attempts together."""
    from castari.services.environments import Environments

    key = stores.platform_secrets().anthropic_api_key
    return Environments(stores.secret_store(), stores.result_bucket(), settings().limits, key)


@cache
def launches() -> "Launches":
    """Return what starts attempts."""
    from castari.services.launches import Launches

    return Launches(
        invocations=tables.invocations_table(),
        warm=tables.warm_table(),
        sandboxes=vendor.sandboxes(),
        sealer=vendor.sealer(),
        environments=environments(),
        maintenance=stores.maintenance_queue(),
        line=vendor.line(),
        sessions=session_launches(),
    )


@cache
def outputs() -> "Outputs":
    """Return what reads what agents print."""
    from castari.services.live_output import LiveOutput
    from castari.services.outputs import Outputs

    return Outputs(
        tables.invocations_table(), stores.result_bucket(), LiveOutput(vendor.sandboxes(), vendor.sealer())
    )


@cache
def session_launches() -> "SessionLaunches":
    """Return what starts attempts in sessions."""
    from castari.services.session_launches import SessionLaunches

    return SessionLaunches(
        invocations=tables.invocations_table(),
        holds=tables.session_holds(),
        sessions=tables.sessions_table(),
        sandboxes=vendor.sandboxes(),
        sealer=vendor.sealer(),
        environments=environments(),
        keep=results.keep_session(),
        most_per_agent=settings().limits.sessions_per_agent,
    )


@cache
def session_pauses() -> "SessionPauses":
    """Return what pauses the sandboxes of sessions."""
    from castari.services.session_pauses import SessionPauses

    return SessionPauses(tables.sessions_table(), vendor.sandboxes(), settings().limits)


@cache
def session_ends() -> "SessionEnds":
    """Return what ends sessions."""
    from castari.services.session_ends import SessionEnds

    unused = f"nobody used it for {settings().session_hours} h"
    return SessionEnds(tables.sessions_table(), vendor.sandboxes(), results.cancels(), unused)


@cache
def attendance() -> "Attendance":
    """Return what stays with an attempt."""
    from castari.services.attendance import Attendance

    return Attendance(results.finishes(), vendor.sandboxes().kill, results.session_rests())


@cache
def calls() -> "Calls":
    """Return what the HTTP invoke does."""
    from castari.services.calls import Calls

    return Calls(launches(), attendance(), results.finishes(), results.requests(), vendor.line())


@cache
def starts() -> "Starts":
    """Return what starts queued invocations."""
    from castari.services.starts import Starts

    return Starts(
        agents=tables.agents_table(),
        invocations=tables.invocations_table(),
        launches=launches(),
        finishes=results.finishes(),
        requeues=results.requeues(),
        line=vendor.line(),
        attendance=attendance(),
    )


@cache
def warm_pool() -> "WarmPool":
    """Return the warm sandboxes."""
    from castari.services.arrivals import Arrivals
    from castari.services.warm import WarmPool

    known = settings()
    return WarmPool(
        agents=tables.agents_table(),
        warm=tables.warm_table(),
        sandboxes=vendor.sandboxes(),
        sealer=vendor.sealer(),
        arrivals=Arrivals(tables.invocations_table()),
        line=vendor.line(),
        maintenance=stores.maintenance_queue(),
        limits=known.limits,
        size=known.warm_per_agent,
    )
