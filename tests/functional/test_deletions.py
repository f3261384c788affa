"""Removing an agent: whatever interrupts it, it goes on, and meanwhile says how far it got."""

from typing import Any

import pytest

from castari.bootstrap import tables
from castari.errors import VendorUnavailable
from castari.messages import DeleteAgent
from castari.models import Agent
from castari.services.deletions import deletion_of
from tests.functional.conftest import Account
from tests.worker import Worker
from tests.world import World

STEPS = ["sandboxes", "secrets", "bundles", "invocations", "versions"]


class _Failing:
    """An adapter of which one method fails."""

    def __init__(self, adapter: Any, method: str) -> None:
        self._adapter, self._method = adapter, method

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            raise VendorUnavailable("AWS has a bad day")
        return getattr(self._adapter, name)


def _breaking(broken: str, method: str) -> Any:
    return lambda name, adapter: _Failing(adapter, method) if name == broken else adapter


def _message(world: World, agent: Agent) -> DeleteAgent:
    return DeleteAgent(
        user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id, requested_at=world.clock()
    )


@pytest.mark.parametrize(
    ("adapter", "method", "step"),
    [
        ("sandboxes", "list", "sandboxes"),
        ("secrets", "delete", "secrets"),
        ("bundles", "keys", "bundles"),
        ("invocations", "delete", "invocations"),
        ("build_logs", "delete", "versions"),
    ],
)
async def test_a_deletion_that_is_interrupted_says_where_and_goes_on_from_there(
    world: World, adapter: str, method: str, step: str
) -> None:
    agent = world.agent()
    worker = world.worker()
    await worker.call(agent)
    worker.versions.create(worker.claims.first(agent, world.request(agent, "bundles/x"), 2))
    broken: Worker = world.worker(_breaking(adapter, method))
    message = _message(world, agent)
    with pytest.raises(VendorUnavailable):
        await broken.removals.carry_out(message)
    (deletion,) = tables.deletions_table().list(agent.user_id)
    assert list(deletion.done) == STEPS[: STEPS.index(step)]
    assert deletion.left == STEPS[STEPS.index(step) :]
    assert deletion.message == f"interrupted at {step}: AWS has a bad day"
    assert await worker.removals.carry_out(message) == "everything removed"
    assert tables.deletions_table().list(agent.user_id) == []
    assert not list(worker.versions.all(agent.agent_id))


def test_deletions_under_way_are_listed_for_their_owner_only(
    account: Account, new_account: Any, world: World
) -> None:
    agent = account.api.request("POST", "/agents", {"name": "Poet"}).json
    stored = tables.agents_table().get(account.user_id, "poet")
    tables.deletions_table().put(
        deletion_of(_message(world, stored)).model_copy(update={"done": ("sandboxes",)})
    )
    (listed,) = account.api.request("GET", "/deletions").json
    assert (listed["agent_id"], listed["slug"]) == (agent["id"], "poet")
    assert (listed["done"], listed["left"]) == (["sandboxes"], STEPS[1:])
    assert new_account().api.request("GET", "/deletions").json == []
    assert len(account.api.request("GET", "/agents").json) == 1
