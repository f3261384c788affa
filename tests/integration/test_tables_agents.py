"""The agents table over a local DynamoDB, with the template's own keys and indexes."""

from datetime import UTC, datetime

import pytest

from castari.adapters.tables.agents import AgentsTable
from castari.bootstrap import tables
from castari.errors import Conflict, NotFound, StaleWrite
from castari.ids import new_id
from castari.models import ActiveVersion, Agent

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def table(stack: dict[str, str]) -> AgentsTable:
    assert stack
    return tables.agents_table()


def _agent(slug: str = "poet", user_id: str | None = None) -> Agent:
    return Agent(
        user_id=user_id or new_id("user"),
        agent_id=new_id("agent"),
        slug=slug,
        name="Poet",
        secret_names={"KEY": (NOON, NOON)},
        created_at=NOON,
        updated_at=NOON,
    )


def test_an_agent_is_read_as_it_was_written(table: AgentsTable) -> None:
    agent = _agent()
    table.create(agent)
    assert table.get(agent.user_id, "poet") == agent
    assert table.find(agent.agent_id) == agent


def test_a_second_agent_of_the_same_slug_is_a_conflict(table: AgentsTable) -> None:
    agent = _agent()
    table.create(agent)
    with pytest.raises(Conflict, match="choose another slug"):
        table.create(agent)


def test_another_user_may_use_the_same_slug(table: AgentsTable) -> None:
    mine, theirs = _agent(), _agent()
    table.create(mine)
    table.create(theirs)
    assert table.get(theirs.user_id, "poet") == theirs


def test_a_missing_agent_is_not_found(table: AgentsTable) -> None:
    with pytest.raises(NotFound, match=r"^Agent not found$"):
        table.get("user_nobody", "poet")
    assert table.find("agent_nobody") is None


def test_lists_go_by_slug_and_page_by_offset(table: AgentsTable) -> None:
    user_id = new_id("user")
    for slug in "cdabe":
        table.create(_agent(slug, user_id))
    assert [agent.slug for agent in table.list(user_id, limit=2, offset=1)] == ["b", "c"]
    assert [agent.slug for agent in table.list(user_id, limit=9, offset=4)] == ["e"]
    assert table.list(user_id, limit=9, offset=9) == []


def test_an_update_sets_and_removes_only_what_it_names(table: AgentsTable) -> None:
    agent = _agent().model_copy(update={"status_message": "boom", "description": "kept"})
    table.create(agent)
    version = ActiveVersion(version_id="ver_1", number=1, snapshot_id="snap")
    updated = table.update(agent, {"status": "active", "status_message": None, "active_version": version})
    assert updated == agent.model_copy(
        update={"status": "active", "status_message": None, "active_version": version}
    )
    assert table.get(agent.user_id, agent.slug) == updated


def test_an_update_whose_expectation_fails_writes_nothing(table: AgentsTable) -> None:
    agent = _agent()
    table.create(agent)
    with pytest.raises(StaleWrite):
        table.update(agent, {"status": "active"}, expected={"secret_version_id": "v1"})
    table.update(agent, {"status": "stopped"}, expected={"secret_version_id": None, "status": "draft"})
    assert table.get(agent.user_id, agent.slug).status == "stopped"


def test_an_update_never_reaches_another_agent_of_the_same_slug(table: AgentsTable) -> None:
    deleted = _agent()
    table.create(deleted)
    table.delete(deleted)
    table.delete(deleted)
    with pytest.raises(NotFound):
        table.update(deleted, {"status": "active"})
    successor = _agent(user_id=deleted.user_id)
    table.create(successor)
    with pytest.raises(NotFound):
        table.update(deleted, {"status": "active"})
    table.delete(deleted)
    assert table.get(successor.user_id, successor.slug) == successor
