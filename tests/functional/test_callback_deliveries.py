"""Deliveries of callbacks: what is sent, what each answer leads to, and who makes up for what is lost."""

import json
from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from castari.adapters.callbacks import CallbackAnswer
from castari.bootstrap import results, tables
from castari.errors import CallbackForbidden, CallbackUnanswered, VendorUnavailable
from castari.messages import DeleteAgent, DeliverCallback
from castari.models import Agent, Invocation
from castari.services.callbacks import GIVE_UP, PATIENCE
from castari.services.deliveries import MOST_ATTEMPTS
from tests.worker import Worker
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")
URL = "https://receiver.example/results"


class Told:
    """An agent with a callback, and its invocation that is over."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.world, self.worker = world, worker
        self.agent: Agent = world.agent(callback_url=URL)
        self.secret = self.renew_secret()

    def renew_secret(self) -> str:
        made = self.worker.callback_secrets.make(self.agent.user_id, self.agent.slug)
        self.agent = self.worker.agents.get(self.agent.user_id, self.agent.slug)
        return made.value.get_secret_value()

    async def ended(self) -> Invocation:
        self.invocation = await self.worker.call(self.agent, "hi")
        assert self.invocation.status == "completed"
        return self.invocation

    async def deliver(self) -> tuple[str, int | None, bool]:
        done = await self.worker.deliveries.deliver(self.invocation.invocation_id)
        return done.result, done.again_seconds, done.gave_up

    @property
    def row(self) -> Invocation:
        return tables.invocations_table().get(self.invocation.invocation_id)

    @property
    def state(self) -> tuple[str, int, int | None]:
        assert self.row.callback
        return self.row.callback.status, self.row.callback.attempts, self.row.callback.last_status

    def watched(self) -> bool:
        """Whether sweep looks after it."""
        due = results.callbacks().table.overdue(self.world.clock() + timedelta(days=9))
        return self.invocation.invocation_id in {each.invocation_id for each in due}


@pytest.fixture
async def told(world: World) -> Told:
    told = Told(world, world.worker())
    await told.ended()
    return told


async def test_the_end_of_an_invocation_is_announced_once_by_its_id_alone(told: Told) -> None:
    expected = DeliverCallback(invocation_id=told.invocation.invocation_id)
    assert told.world.callbacks.messages == [(expected, 0)]
    assert told.world.callbacks.groups == [told.agent.user_id]
    assert told.state == ("pending", 0, None)


async def test_an_invocation_without_a_callback_sends_no_message(world: World) -> None:
    worker = world.worker()
    invocation = await worker.call(world.agent(), "hi")
    assert world.callbacks.messages == []
    done = await worker.deliveries.deliver(invocation.invocation_id)
    assert (done.result, world.receivers.received) == ("nothing to deliver", [])


async def test_what_is_sent_verifies_with_the_secret_that_was_shown_and_with_no_other(told: Told) -> None:
    assert (await told.deliver())[1:] == (None, False)
    ((url, body, headers),) = told.world.receivers.received
    payload = Webhook(told.secret).verify(body, headers)
    assert (url, headers["webhook-id"]) == (URL, told.invocation.invocation_id)
    assert (payload["type"], payload["agent"]) == ("invocation.completed", told.agent.slug)
    assert payload["data"]["response_content"].startswith("you said")
    assert payload["location"].endswith(f"/invocations/{told.invocation.invocation_id}")
    with pytest.raises(WebhookVerificationError):
        Webhook(told.renew_secret()).verify(body, headers)
    assert told.state == ("delivered", 1, 204)
    assert not told.watched()


async def test_a_second_message_of_what_is_delivered_sends_nothing(told: Told) -> None:
    await told.deliver()
    assert (await told.deliver())[0] == "nothing to deliver"
    assert len(told.world.receivers.received) == 1


async def test_for_a_day_both_secrets_sign_and_then_the_new_one_alone(told: Told) -> None:
    former, current = told.secret, told.renew_secret()
    told.world.receivers.answers = [CallbackAnswer(500)]
    await told.deliver()
    told.world.clock.pass_(hours=25)
    await told.deliver()
    (_, first, both), (_, second, one) = told.world.receivers.received
    assert first == second
    assert [len(each["webhook-signature"].split(" ")) for each in (both, one)] == [2, 1]
    for secret in (former, current):
        Webhook(secret).verify(first, both)
    assert one["webhook-timestamp"] > both["webhook-timestamp"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [(CallbackAnswer(status), status) for status in (500, 503, 429, 404, 401, 302, 199)]
    + [(CallbackUnanswered("nobody is there"), None)],
)
async def test_what_is_no_success_is_tried_again(
    told: Told, answer: CallbackAnswer | CallbackUnanswered, status: int | None
) -> None:
    told.world.receivers.answers = [answer]
    _, again, gave_up = await told.deliver()
    assert (again, gave_up) == (1, False)
    assert told.state == ("pending", 1, status)
    assert told.row.callback
    assert told.row.callback.message
    assert told.watched()


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_a_success(told: Told, status: int) -> None:
    told.world.receivers.answers = [CallbackAnswer(status)]
    await told.deliver()
    assert told.state == ("delivered", 1, status)


@pytest.mark.parametrize(
    ("answer", "status"), [(CallbackAnswer(410), 410), (CallbackForbidden("no public address"), None)]
)
async def test_a_receiver_that_is_gone_and_an_address_that_is_forbidden_end_it(
    told: Told, answer: CallbackAnswer | CallbackForbidden, status: int | None
) -> None:
    told.world.receivers.answers = [answer]
    assert (await told.deliver())[1:] == (None, False)
    assert told.state == ("failed", 1, status)
    assert not told.watched()
    assert (await told.deliver())[0] == "nothing to deliver"


async def test_a_receiver_is_left_alone_for_as_long_as_it_asks_but_not_for_ever(told: Told) -> None:
    told.world.receivers.answers = [CallbackAnswer(429, 120), CallbackAnswer(503, 10**8)]
    assert (await told.deliver())[1] == 120
    assert (await told.deliver())[0] == "not due yet"
    told.world.clock.pass_(seconds=120)
    assert (await told.deliver())[1] == 10 * 3600
    assert len(told.world.receivers.received) == 2


async def test_the_pauses_grow_and_after_the_last_attempt_it_is_given_up(told: Told) -> None:
    told.world.receivers.answers = [CallbackAnswer(500)] * MOST_ATTEMPTS
    pauses = []
    for _ in range(MOST_ATTEMPTS - 1):
        _, again, _ = await told.deliver()
        assert again
        pauses.append(again)
        told.world.clock.pass_(seconds=again + 1)
    assert pauses[:-1] == sorted(pauses[:-1])
    assert 11 * 3600 <= sum(pauses) <= 23 * 3600
    assert (await told.deliver())[1:] == (None, True)
    assert told.state == ("failed", MOST_ATTEMPTS, 500)
    assert not told.watched()
    # The operator sends it back from the dead letter queue.
    await told.deliver()
    assert told.state == ("delivered", MOST_ATTEMPTS + 1, 204)


async def test_a_message_that_could_not_be_sent_is_made_up_for_by_sweep(world: World) -> None:
    told = Told(world, world.worker())
    world.callbacks.failures.append(VendorUnavailable("SQS is down"))
    await told.ended()
    assert world.callbacks.messages == []
    assert (await told.worker.sweep.sweep())["callbacks_reminded"] == 0
    world.clock.pass_(seconds=PATIENCE.total_seconds() + 1)
    assert (await told.worker.sweep.sweep())["callbacks_reminded"] == 1
    assert len(world.callbacks.messages) == 1
    assert (await told.worker.sweep.sweep())["callbacks_reminded"] == 0
    await told.deliver()
    assert told.state[0] == "delivered"


async def test_what_comes_to_no_end_for_days_is_given_up_by_sweep(told: Told) -> None:
    told.world.clock.pass_(seconds=GIVE_UP.total_seconds() + 1)
    await told.worker.sweep.sweep()
    assert told.state == ("failed", 0, None)
    assert not told.watched()


async def test_of_two_deliveries_at_once_one_is_counted(told: Told) -> None:
    before = told.row
    await told.deliver()
    stale = World(told.world.clock, told.world.runner, told.world.sandboxes, receivers=told.world.receivers)
    worker = stale.worker(
        lambda name, adapter: _Frozen(adapter, before) if name == "invocations" else adapter
    )
    done = await worker.deliveries.deliver(before.invocation_id)
    assert done.result == "delivered twice at once"
    assert told.state == ("delivered", 1, 204)


class _Frozen:
    """The invocations table as somebody read it a moment ago."""

    def __init__(self, table: object, seen: Invocation) -> None:
        self._table, self._seen = table, seen

    def get(self, _invocation_id: str) -> Invocation:
        return self._seen

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)


async def test_a_deleted_agent_has_nothing_told_and_its_secret_is_gone(told: Told) -> None:
    agent, secrets = told.agent, told.worker.callback_secret_store
    told.worker.agents.delete(agent)
    assert (await told.deliver())[0] == "dropped: its agent is deleted"
    message = DeleteAgent(
        user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id, requested_at=told.world.clock()
    )
    await told.worker.removals.carry_out(message)
    assert (await told.deliver())[0] == "dropped: its agent is deleted"
    assert told.world.receivers.received == []
    assert agent.callback_secret
    secrets._cache.clear()
    with pytest.raises(VendorUnavailable):
        secrets.read(agent.agent_id, agent.callback_secret.version_id)


async def test_an_agent_of_the_same_slug_is_told_nothing_of_the_one_before_it(told: Told) -> None:
    told.worker.agents.delete(told.agent)
    told.world.agent(user_id=told.agent.user_id, callback_url=URL)
    assert (await told.deliver())[0] == "dropped: its agent is deleted"


async def test_an_end_in_a_session_and_a_cancel_are_told_too(world: World) -> None:
    told = Told(world, world.worker())
    told.invocation = await told.worker.call(told.agent, "hi", session_id="chat")
    await told.deliver()
    queued = told.worker.invocations.submit(told.agent, "later")
    told.invocation = told.worker.cancels.cancel(told.agent, queued.invocation_id)
    await told.deliver()
    types = [json.loads(body)["type"] for _, body, _ in world.receivers.received]
    assert types == ["invocation.completed", "invocation.cancelled"]


async def test_a_long_answer_is_left_where_it_is(world: World) -> None:
    told = Told(world, world.worker())
    world.runner.answer = lambda _: {"stdout_stored": True, "exit_code": 0}
    await told.ended()
    await told.deliver()
    ((_, body, _),) = world.receivers.received
    assert json.loads(body)["data"]["response_content"] is None
