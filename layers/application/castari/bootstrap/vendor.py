"""The sandbox service and what is kept of it. Importing e2b costs 300 to 530 ms.

A worker keeps one event loop, because connections live in it.
"""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from castari.bootstrap import stores, tables
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.adapters.sandboxes import Sandboxes
    from castari.adapters.sealing import Sealer
    from castari.services.capacity import Capacity
    from castari.services.line import Line

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
        api_key=stores.platform_secrets().e2b_api_key,
        api_url=known.e2b_api_url,
        sandbox_url=known.e2b_sandbox_url,
        ended=capacity().ended,
    )


@cache
def capacity() -> "Capacity":
    """Return what counts sandboxes against the plan's limits."""
    from castari.services.capacity import Capacity

    known = settings()
    return Capacity(
        table=tables.capacity_table(),
        queue=stores.invocation_queue(),
        maintenance=stores.maintenance_queue(),
        creates_per_second=known.creates_per_second,
        sandboxes_at_once=known.sandboxes_at_once,
    )


@cache
def line() -> "Line":
    """Return the line of those who wait for a sandbox."""
    from castari.services.line import Line

    return Line(
        tables.line_table(),
        tables.capacity_table(),
        tables.invocations_table(),
        capacity(),
        stores.invocation_queue(),
    )


@cache
def sealer() -> "Sealer":
    """Return what seals access to warm sandboxes."""
    from castari.adapters.sealing import Sealer

    return Sealer(stores.platform_secrets().sealing_key)
