"""Users with keys for the functional tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from castari import admin
from castari.bootstrap import clients, deploying, invoking, sweeping, tables, vendor
from castari.ids import new_id
from castari.models import ActiveVersion
from tests.fakes import FakeSandboxes, ScriptedRunner, SetClock
from tests.gateway import Gateway
from tests.project import Project
from tests.world import World


@dataclass(frozen=True)
class Account:
    """A user and the way to call the API as that user."""

    user_id: str
    email: str
    prefix: str
    key_id: str
    api: Gateway


@pytest.fixture
def new_account(stack: dict[str, str]) -> Callable[..., Account]:
    """Make a user of the test's own; limits are high unless given."""
    assert stack

    def make(*, crud_per_minute: int = 10_000, invoke_per_minute: int = 10_000) -> Account:
        email = f"{new_id('someone')}@example.com"
        made = admin.create_key(
            email, "test", crud_per_minute=crud_per_minute, invoke_per_minute=invoke_per_minute
        )
        return Account(made["user_id"], email, made["prefix"], made["key_id"], Gateway(made["key"]))

    return make


@pytest.fixture
def account(new_account: Callable[..., Account]) -> Account:
    return new_account()


@pytest.fixture
def api(account: Account) -> Gateway:
    return account.api


@pytest.fixture
def world(stack: dict[str, str]) -> World:
    """The control plane with a sandbox service in memory and a clock that the test sets."""
    clock, runner = SetClock(), ScriptedRunner(stack["RESULT_BUCKET"])
    return World(clock, runner, FakeSandboxes(clock, runner))


@pytest.fixture
def project(world: World) -> Project:
    """An agent without a version, and one worker."""
    return Project(world, world.worker())


@pytest.fixture
def empty_tables(stack: dict[str, str]) -> None:
    """Take away what other tests left open: a sweep would see to that first, and never come to ours."""
    empty(stack)


def empty(stack: dict[str, str]) -> None:
    """Take away what is open."""
    for table, keys in (
        ("INVOCATIONS_TABLE", ["invocation_id"]),
        ("WARM_TABLE", ["version_id", "sandbox_id"]),
        ("CAPACITY_TABLE", ["kind", "place"]),
    ):
        client, name = clients.dynamodb(), stack[table]
        for page in client.get_paginator("scan").paginate(TableName=name):
            for row in page["Items"]:
                client.delete_item(TableName=name, Key={key: row[key] for key in keys})


@pytest.fixture
def sandboxes(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSandboxes]:
    """A sandbox service in memory, under the real functions."""
    service = FakeSandboxes(SetClock(), ScriptedRunner(stack["RESULT_BUCKET"]))
    monkeypatch.setattr(vendor, "sandboxes", lambda: service)
    yield service
    vendor._runner().close()
    for module in (vendor, invoking, deploying, sweeping):
        for each in vars(module).values():
            if hasattr(each, "cache_clear") and each.__module__ == module.__name__:
                each.cache_clear()


@pytest.fixture
def poet(account: Account, sandboxes: FakeSandboxes) -> Account:
    """A user with an active agent `poet`."""
    account.api.request("POST", "/agents", {"name": "Poet"})
    table = tables.agents_table()
    sandboxes.snapshots["snapshot-1"] = "castari-base"
    version = ActiveVersion(version_id=new_id("ver"), number=1, snapshot_id="snapshot-1")
    changes = {"status": "active", "active_version": version, "latest_version_number": 1}
    table.update(table.get(account.user_id, "poet"), changes)
    return account
