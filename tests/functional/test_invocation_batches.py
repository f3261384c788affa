"""Many prompts in one request: every one becomes one invocation, whatever breaks on the way."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from castari.adapters.queues import Queue
from castari.adapters.tables.invocation_batches import PER_WRITE, InvocationBatchesTable
from castari.bootstrap import clients, stores, tables
from castari.errors import TooLarge, Unprocessable, VendorUnavailable
from castari.messages import StartInvocation
from castari.models import Agent, Invocation, RequestKey
from castari.services.invocation_batches import InvocationBatches
from castari.services.requests import batch_keys
from tests.functional.conftest import Account
from tests.worker import Worker
from tests.world import World, unique

PATH = "/agents/poet/invocations/batch"


@pytest.fixture
def agent(world: World) -> Iterator[Agent]:
    """An agent whose invocations are gone after the test: a sweep of another one would see to them first."""
    made = world.agent()
    yield made
    table = InvocationBatchesTable(tables.invocations_table())
    for batch in batched(rows(made)):
        table.delete(batch)


@pytest.fixture
def worker(world: World) -> Worker:
    return world.worker()


def batches(worker: Worker, table: object = None, queue: object = None) -> InvocationBatches:
    real = InvocationBatchesTable(tables.invocations_table())
    return InvocationBatches(
        worker.invocations,
        cast("InvocationBatchesTable", table or real),
        worker.requests,
        cast("Queue", queue or worker.queue),
    )


def rows(agent: Agent) -> list[Invocation]:
    return tables.invocations_table().list_for_agent(agent.agent_id, limit=2_000, offset=0)


def submit(to: InvocationBatches, agent: Agent, prompts: Sequence[str], **more: Any) -> list[Invocation]:
    return to.submit(agent, prompts, **more).invocations


def prompts_of(made: Sequence[Invocation]) -> list[str | None]:
    table = tables.invocations_table()
    return [table.get(each.invocation_id).prompt for each in made]


def keys(agent: Agent, prompts: Sequence[str], key: str = "k") -> list[RequestKey]:
    return batch_keys(agent, key, {"prompts": list(prompts)}, len(prompts))


def batched(made: Sequence[Invocation]) -> list[Sequence[Invocation]]:
    return [made[start : start + PER_WRITE] for start in range(0, len(made), PER_WRITE)]


def sent(world: World) -> list[str]:
    return [
        message.invocation_id
        for message, _ in world.invocations.messages
        if isinstance(message, StartInvocation)
    ]


def test_a_thousand_prompts_become_a_thousand_invocations_in_their_order(
    world: World, worker: Worker, agent: Agent
) -> None:
    prompts = [f"prompt {n}" for n in range(1_000)]
    made = submit(batches(worker), agent, prompts, timeout_seconds=7)
    assert prompts_of(made) == prompts
    assert sorted(sent(world)) == sorted(each.invocation_id for each in made)
    assert len(rows(agent)) == 1_000
    assert {each.timeout_seconds for each in made} == {7}


def test_what_dynamodb_leaves_undone_is_asked_for_again(worker: Worker, agent: Agent) -> None:
    client = Halving(clients.dynamodb())
    table = replace(tables.invocations_table(), client=cast("Any", client))
    prompts = [f"prompt {n}" for n in range(30)]
    made = submit(batches(worker, InvocationBatchesTable(table)), agent, prompts)
    assert client.left_undone > 0
    assert prompts_of(made) == prompts
    assert len(rows(agent)) == 30


def test_a_table_that_fails_in_the_middle_leaves_nothing_that_could_run(
    world: World, worker: Worker, agent: Agent
) -> None:
    table = FailingOnce(InvocationBatchesTable(tables.invocations_table()), after=2)
    with pytest.raises(VendorUnavailable, match="none of the prompts was accepted"):
        submit(batches(worker, table), agent, ["x"] * 100)
    assert table.created > 0
    assert (rows(agent), sent(world)) == ([], [])


def test_what_got_no_message_is_set_out_by_the_sweep(world: World, worker: Worker, agent: Agent) -> None:
    world.invocations.failures = [VendorUnavailable("SQS is down")]
    submitted = batches(worker).submit(agent, [f"prompt {n}" for n in range(30)])
    made = submitted.invocations
    assert (len(made), len(sent(world)), submitted.unsent) == (30, 20, 10)
    unsent = {each.invocation_id for each in made} - set(sent(world))
    assert {each.status for each in rows(agent)} == {"queued"}
    for invocation_id in unsent:
        worker.requeues.remind(tables.invocations_table().get(invocation_id))
    assert set(sent(world)) == {each.invocation_id for each in made}


@pytest.mark.usefixtures("stack")
def test_the_queue_tries_again_what_it_could_not_take() -> None:
    client = Picky(clients.sqs())
    queue = Queue(cast("Any", client), stores.invocation_queue().url)
    ids = [unique() for _ in range(10)]
    assert queue.send_many([StartInvocation(invocation_id=each) for each in ids]) == 0
    assert client.refused > 0
    assert set(ids) <= set(_received())


def test_the_same_key_and_body_make_the_same_invocations(world: World, worker: Worker, agent: Agent) -> None:
    prompts = [f"prompt {n}" for n in range(120)]
    first = submit(batches(worker), agent, prompts, requests=keys(agent, prompts))
    again = submit(batches(world.worker()), agent, prompts, requests=keys(agent, prompts))
    assert [each.invocation_id for each in again] == [each.invocation_id for each in first]
    assert prompts_of(first) == prompts
    assert len(rows(agent)) == 120


def test_another_body_under_the_same_key_makes_nothing(worker: Worker, agent: Agent) -> None:
    few, many = ["a"] * 3, ["a"] * 200
    submit(batches(worker), agent, few, requests=keys(agent, few))
    with pytest.raises(Unprocessable):
        submit(batches(worker), agent, many, requests=keys(agent, many))
    assert len(rows(agent)) == 3


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_batch_that_broke_off_is_made_whole_by_the_same_request(
    world: World, worker: Worker, agent: Agent, after: int
) -> None:
    prompts = [f"prompt {n}" for n in range(150)]
    table = FailingOnce(InvocationBatchesTable(tables.invocations_table()), after=after)
    with pytest.raises(VendorUnavailable):
        submit(batches(worker, table), agent, prompts, requests=keys(agent, prompts))
    made = submit(batches(world.worker()), agent, prompts, requests=keys(agent, prompts))
    assert prompts_of(made) == prompts
    assert len(rows(agent)) == 150
    assert set(sent(world)) == {each.invocation_id for each in made}


def test_long_prompts_are_kept_out_of_the_rows(worker: Worker, agent: Agent) -> None:
    made = submit(batches(worker), agent, ["x" * 100_000, "short"])
    assert [each.prompt_key is not None for each in made] == [True, False]


def test_a_prompt_that_is_too_long_names_itself_and_nothing_is_made(worker: Worker, agent: Agent) -> None:
    with pytest.raises(TooLarge, match="prompt 1 "):
        submit(batches(worker), agent, ["short", "x" * 1_100_000])
    assert rows(agent) == []


def test_over_http_the_ids_come_in_the_order_of_the_prompts(poet: Account) -> None:
    api = replace(poet.api, headers={"idempotency-key": unique()})
    first, again = (api.request("POST", PATH, {"prompts": ["a", "b", "c"]}) for _ in range(2))
    assert first.status == 202
    assert first.json == again.json
    made = first.json["invocations"]
    assert [set(each) for each in made] == [{"invocation_id", "session_id", "status"}] * 3
    table = tables.invocations_table()
    assert [table.get(each["invocation_id"]).prompt for each in made] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"prompts": []}, ["body", "prompts"]),
        ({"prompts": ["x"] * 1_001}, ["body", "prompts"]),
        ({"prompts": ["x", " "]}, ["body", "prompts", 1]),
        ({"prompts": ["x"], "timeout_seconds": 601}, ["body", "timeout_seconds"]),
        ({}, ["body", "prompts"]),
    ],
)
def test_a_bad_batch_names_the_field(poet: Account, body: dict[str, Any], loc: list[object]) -> None:
    reply = poet.api.request("POST", PATH, body)
    assert (reply.status, reply.json["detail"][0]["loc"]) == (422, loc)


def _received() -> list[str]:
    found: list[str] = []
    url = stores.invocation_queue().url
    while messages := clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(each["Body"])["invocation_id"] for each in messages]
    return found


class Halving:
    """A DynamoDB client that carries out half of each batch of more than one."""

    def __init__(self, client: Any) -> None:
        self._client, self.left_undone = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_write_item(self, **asked: Any) -> Any:
        ((table, requests),) = asked["RequestItems"].items()
        half = (len(requests) + 1) // 2
        self._client.batch_write_item(RequestItems={table: requests[:half]})
        self.left_undone += len(requests) - half
        return {"UnprocessedItems": {table: requests[half:]} if requests[half:] else {}}


class Picky:
    """An SQS client that refuses every other message of each batch of more than one."""

    def __init__(self, client: Any) -> None:
        self._client, self.refused = client, 0

    def send_message_batch(self, **asked: Any) -> Any:
        taken, refused = asked["Entries"][::2], asked["Entries"][1::2]
        self._client.send_message_batch(**asked | {"Entries": taken})
        self.refused += len(refused)
        return {"Failed": [{"Id": each["Id"], "SenderFault": False, "Code": "x"} for each in refused]}


class FailingOnce:
    """A table that takes some writes and fails all that follow, but for deletes."""

    def __init__(self, table: InvocationBatchesTable, *, after: int) -> None:
        self._table, self._after, self.created = table, after, 0

    def create(self, invocations: Sequence[Invocation]) -> None:
        self._take()
        self._table.create(invocations)

    def create_with_keys(self, invocations: Sequence[Invocation]) -> None:
        self._take()
        self._table.create_with_keys(invocations)

    def delete(self, invocations: Sequence[Invocation]) -> None:
        self._table.delete(invocations)

    def _take(self) -> None:
        if self.created >= self._after:
            raise VendorUnavailable("DynamoDB is down")
        self.created += 1
