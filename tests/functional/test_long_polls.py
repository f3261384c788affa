"""Waiting for an invocation to be over, cheaply."""

import asyncio
import time
from collections.abc import Callable

import pytest

from castari.adapters.tables.invocations import InvocationsTable
from castari.bootstrap import tables
from castari.models import Invocation, InvocationStatus
from castari.services.long_polls import LongPolls
from tests.functional.conftest import Account
from tests.world import World


class Counting:
    """The table, which counts how often it is asked."""

    def __init__(self, table: InvocationsTable) -> None:
        self._table, self.looks = table, 0

    def status(self, invocation_id: str) -> InvocationStatus | None:
        self.looks += 1
        return self._table.status(invocation_id)

    def get(self, invocation_id: str) -> Invocation:
        return self._table.get(invocation_id)


class Time:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], object]] = {}

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [each for each in self.at if each <= self.now]:
            self.at.pop(moment)()


@pytest.fixture
async def running(world: World) -> Invocation:
    world.runner.waits = asyncio.Event().wait
    return await world.worker().call(world.agent(), seconds=0.05)


def polls(table: Counting, at: Time) -> LongPolls:
    return LongPolls(table, at.sleep, lambda: at.now)  # type: ignore[arg-type]


def test_an_end_is_seen_within_about_a_second(world: World, running: Invocation) -> None:
    at, table, worker = Time(), Counting(tables.invocations_table()), world.worker()
    agent = worker.agents.get(running.user_id, running.slug)
    at.at[7.0] = lambda: worker.cancels.cancel(agent, running.invocation_id)
    assert polls(table, at).until_over(running, 20).status == "cancelled"
    assert 7 <= at.now <= 8


def test_twenty_seconds_cost_about_a_look_a_second(running: Invocation) -> None:
    at, table = Time(), Counting(tables.invocations_table())
    assert polls(table, at).until_over(running, 20).status == "running"
    assert at.now == pytest.approx(20)
    assert table.looks <= 25


def test_what_is_over_or_not_waited_for_costs_no_look(running: Invocation) -> None:
    at, table = Time(), Counting(tables.invocations_table())
    over = running.model_copy(update={"status": "completed"})
    assert polls(table, at).until_over(over, 20) == over
    assert polls(table, at).until_over(running, 0) == running
    assert polls(table, at).until_over(running, -3) == running
    assert (table.looks, at.now) == (0, 0)


def test_over_http_a_wait_is_bounded(poet: Account) -> None:
    queued = poet.api.request("POST", "/agents/poet/invoke", {"prompt": "hi"}, wait=0).json
    path = f"/agents/poet/invocations/{queued['invocation_id']}"
    began = time.monotonic()
    assert poet.api.request("GET", path, wait=0.2).json["status"] == "queued"
    assert time.monotonic() - began >= 0.2
    refused = poet.api.request("GET", path, wait=21)
    assert (refused.status, refused.json["detail"][0]["loc"]) == (422, ["query", "wait"])
