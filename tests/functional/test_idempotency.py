"""Requests that are made again with the same idempotency key: one invocation, one run, one answer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from castari.bootstrap import tables
from castari.errors import Unprocessable, VendorUnavailable
from castari.models import ActiveVersion, Agent
from castari.services.requests import request_key
from tests.functional.conftest import Account
from tests.gateway import Reply
from tests.world import World, unique

PATH = "/agents/poet/invocations"


@pytest.fixture
def poet(account: Account) -> Account:
    account.api.request("POST", "/agents", {"name": "Poet"})
    table = tables.agents_table()
    version = ActiveVersion(version_id="ver_1", number=1, snapshot_id="snap")
    table.update(
        table.get(account.user_id, "poet"), {"status": "active", "active_version": version.model_dump()}
    )
    return account


def _post(account: Account, key: str, body: dict[str, Any]) -> Reply:
    return replace(account.api, headers={"idempotency-key": key}).request("POST", PATH, body)


def _rows(agent: Agent) -> int:
    return len(tables.invocations_table().list_for_agent(agent.agent_id, limit=100, offset=0))


def test_the_same_key_and_body_lead_to_the_same_invocation(poet: Account) -> None:
    first, again = (_post(poet, "a", {"prompt": "x"}) for _ in range(2))
    assert (first.status, again.status) == (202, 202)
    assert first.json == again.json
    assert again.headers["location"].endswith(first.json["invocation_id"])
    assert _post(poet, "b", {"prompt": "x"}).json["invocation_id"] != first.json["invocation_id"]


@pytest.mark.parametrize("body", [{"prompt": "y"}, {"prompt": "x", "timeout_seconds": 5}])
def test_another_body_under_the_same_key_is_refused(poet: Account, body: dict[str, Any]) -> None:
    _post(poet, "a", {"prompt": "x"})
    refused = _post(poet, "a", body)
    assert refused.status == 422
    assert refused.json["detail"][0]["loc"] == ["header", "Idempotency-Key"]
    assert "new key" in refused.json["detail"][0]["msg"]


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "two\tparts"])
def test_a_key_that_is_none_is_refused_by_name(poet: Account, key: str) -> None:
    refused = _post(poet, key, {"prompt": "x"})
    assert refused.status == 422
    assert refused.json["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_keys_are_of_one_user_and_one_agent(poet: Account, world: World) -> None:
    poet.api.request("POST", "/agents", {"name": "Other"})
    agents = [tables.agents_table().get(poet.user_id, slug) for slug in ("poet", "other")]
    agents.append(world.agent())
    assert len({request_key(agent, "a", {}).row_id for agent in agents}) == 3


def test_twenty_at_once_make_one_invocation(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    request = request_key(agent, "once", {"prompt": "x"})
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: worker.invocations.submit(agent, "x", request=request), range(20)))
    assert len({invocation.invocation_id for invocation in made}) == 1
    assert _rows(agent) == 1


async def test_waiting_callers_of_one_key_get_the_answer_of_one_run(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    await worker.warm_up(agent)
    request = request_key(agent, unique(), {"prompt": "x"})
    going = asyncio.Event()
    world.runner.waits = going.wait
    calls = [asyncio.create_task(worker.call(agent, "x", request=request)) for _ in range(5)]
    await asyncio.sleep(0)
    going.set()
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {"completed"}
    assert len({answer.invocation_id for answer in answers}) == 1
    assert world.sandboxes.calls.count("start") == 1
    again = await world.worker().call(agent, "x", request=request)
    assert again.invocation_id == answers[0].invocation_id
    with pytest.raises(Unprocessable, match="another body"):
        await worker.call(
            agent, "y", request=request_key(agent, "other", {}).model_copy(update={"row_id": request.row_id})
        )


async def test_a_key_is_free_again_after_a_day(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    request = request_key(agent, unique(), {"prompt": "x"})
    first = worker.invocations.submit(agent, "x", request=request)
    world.clock.pass_(hours=23, minutes=59)
    assert worker.invocations.submit(agent, "x", request=request).invocation_id == first.invocation_id
    world.clock.pass_(minutes=2)
    assert worker.invocations.submit(agent, "x", request=request).invocation_id != first.invocation_id


async def test_a_request_that_started_nothing_may_be_made_again(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    request = request_key(agent, unique(), {"prompt": "x"})
    queued = worker.invocations.submit(agent, "x", request=request)
    world.clock.pass_(minutes=31)
    await worker.sweep.sweep()
    assert worker.table.get(queued.invocation_id).status == "failed"
    assert worker.invocations.submit(agent, "x", request=request).invocation_id != queued.invocation_id


async def test_a_repeated_request_sets_out_what_its_first_maker_left(world: World) -> None:
    agent, worker = world.agent(), world.worker()
    request = request_key(agent, unique(), {"prompt": "x"})
    world.invocations.failures.append(VendorUnavailable("no queue"))
    with pytest.raises(VendorUnavailable):
        worker.invocations.submit(agent, "x", request=request)
    again = worker.invocations.submit(agent, "x", request=request)
    ((message, _),) = world.invocations.messages
    assert message.invocation_id == again.invocation_id  # type: ignore[attr-defined]
    assert _rows(agent) == 1
