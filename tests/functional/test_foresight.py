"""Reading ahead: what is read while a key is counted, for whom, and what becomes of a wrong guess."""

from collections.abc import Callable
from typing import Any

import pytest

from castari.bootstrap import stores, tables
from castari.clock import utc_now
from castari.errors import NotFound, RateLimited, Unauthorized
from castari.http.invoking import likely_claims
from castari.ids import new_id
from castari.models import ActiveVersion, WarmSandbox
from castari.services.agents import Agents
from castari.services.authentication import Authentication
from castari.services.foresight import Foreseen, Foresight
from castari.settings import Limits
from tests.functional.conftest import Account
from tests.world import World


class _Noting:
    """A table that notes which reads reach it."""

    def __init__(self, table: Any, notes: list[str]) -> None:
        self._table, self._notes = table, notes

    def __getattr__(self, name: str) -> Any:
        self._notes.append(f"{type(self._table).__name__}.{name}")
        return getattr(self._table, name)


class _Platform:
    """One worker's foresight and an account that has an agent with a warm sandbox."""

    def __init__(self, world: World, account: Account) -> None:
        self.reads: list[str] = []
        agents: Any = _Noting(tables.agents_table(), self.reads)
        warm: Any = _Noting(tables.warm_table(), self.reads)
        now = utc_now()  # No minute begins meanwhile.
        self.keys = Authentication(tables.api_keys_table(), lambda: now)
        service = Agents(agents, tables.deletions_table(), stores.maintenance_queue(), Limits())
        self.foresight = Foresight(self.keys, service, warm)
        self.agent = world.agent(user_id=account.user_id, slug=new_id("agent").replace("_", "-"))
        self.header = f"Bearer {account.api.key}"
        assert self.agent.active_version
        self.version_id = self.agent.active_version.version_id

    def begin(self, *, claims: bool = True, header: str | None = None) -> Foreseen:
        foreseen = self.foresight.begin(header or self.header, self.agent.slug, claims=claims)
        foreseen.settle()
        return foreseen

    def served(self) -> None:
        """Have one request served, and forget what it read."""
        foreseen = self.begin()
        self.keys.admit(self.header, "invoke")
        foreseen.agent(self.agent.user_id)
        self.reads.clear()


@pytest.fixture
def platform(world: World, account: Account) -> _Platform:
    return _Platform(world, account)


def _warm(platform: _Platform, version_id: str) -> WarmSandbox:
    now = utc_now()
    warm = WarmSandbox(
        version_id=version_id,
        sandbox_id=new_id("sandbox"),
        agent_id=platform.agent.agent_id,
        sealed_access="sealed",
        created_at=now,
        expires_at=now,
    )
    tables.warm_table().put(warm)
    return warm


def test_nothing_is_read_for_a_key_that_was_not_let_in_before(platform: _Platform) -> None:
    foreseen = platform.begin()
    assert platform.reads == []
    assert foreseen.agent(platform.agent.user_id) == platform.agent
    assert foreseen.offers(platform.version_id) == []
    assert platform.reads == ["AgentsTable.get", "WarmTable.list"]


def test_agent_and_warm_sandboxes_are_read_ahead_for_a_known_key_and_no_second_time(
    platform: _Platform,
) -> None:
    platform.served()
    warm = _warm(platform, platform.version_id)
    foreseen = platform.begin()
    assert sorted(platform.reads) == ["AgentsTable.get", "WarmTable.list"]
    assert foreseen.agent(platform.agent.user_id) == platform.agent
    assert foreseen.offers(platform.version_id) == [warm]
    assert len(platform.reads) == 2


def test_a_version_that_serves_since_is_looked_up_again(platform: _Platform) -> None:
    platform.served()
    version = ActiveVersion(version_id=new_id("ver"), number=2, snapshot_id="snapshot")
    tables.agents_table().update(platform.agent, {"active_version": version})
    warm = _warm(platform, version.version_id)
    foreseen = platform.begin()
    assert foreseen.agent(platform.agent.user_id).active_version == version
    assert foreseen.offers(version.version_id) == [warm]


def test_a_request_that_claims_nothing_reads_no_warm_sandboxes(platform: _Platform) -> None:
    platform.served()
    platform.begin(claims=False)
    assert platform.reads == ["AgentsTable.get"]


def test_a_known_prefix_with_another_secret_reads_nothing_and_spoils_nothing(platform: _Platform) -> None:
    platform.served()
    forged = platform.header[:-1] + ("0" if platform.header[-1] != "0" else "1")
    platform.begin(header=forged)
    with pytest.raises(Unauthorized):
        platform.keys.admit(forged, "invoke")
    assert platform.reads == []
    platform.begin()
    assert len(platform.reads) == 2


def test_a_key_over_its_limit_reads_ahead_no_more(world: World, new_account: Callable[..., Account]) -> None:
    platform = _Platform(world, new_account(invoke_per_minute=1))
    platform.served()
    with pytest.raises(RateLimited):
        platform.keys.admit(platform.header, "invoke")
    platform.begin()
    assert platform.reads == []


def test_an_agent_that_is_gone_is_not_found_by_whoever_is_let_in(platform: _Platform) -> None:
    platform.served()
    tables.agents_table().delete(platform.agent)
    foreseen = platform.begin()
    with pytest.raises(NotFound, match="Agent not found"):
        foreseen.agent(platform.agent.user_id)


def test_what_was_read_for_one_user_is_not_shown_to_another(platform: _Platform) -> None:
    platform.served()
    foreseen = platform.begin()
    with pytest.raises(NotFound):
        foreseen.agent("user_other")


@pytest.mark.parametrize(
    ("change", "claims"),
    [
        ({}, True),
        ({"queryStringParameters": {"wait": "0"}}, False),
        ({"headers": {"prefer": "respond-async"}}, False),
        ({"body": '{"prompt": "hi", "session_id": "sess_1"}'}, False),
    ],
)
def test_only_who_wants_a_warm_sandbox_has_them_read_ahead(change: dict[str, Any], claims: bool) -> None:
    sample: dict[str, Any] = {"headers": {}, "body": '{"prompt": "hi"}', "isBase64Encoded": False}
    assert likely_claims(sample | change) is claims
