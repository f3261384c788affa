"""Usage and versions over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from castari.bootstrap import tables
from castari.ids import new_id
from castari.models import ActiveVersion, DailyUsage, Version
from tests.functional.conftest import Account
from tests.gateway import Gateway


def _use(user_id: str, days_ago: int, *, tokens: int, cost_micro_dollars: int) -> None:
    day = datetime.now(UTC).date() - timedelta(days=days_ago)
    tables.usage_table().add(
        user_id,
        DailyUsage(
            date=day,
            invocation_count=1,
            input_tokens=tokens,
            output_tokens=2 * tokens,
            cost_micro_dollars=cost_micro_dollars,
        ),
    )


def test_usage_adds_up_within_the_period(account: Account) -> None:
    for days_ago in (0, 0, 6, 7):
        _use(account.user_id, days_ago, tokens=10, cost_micro_dollars=1_500_000)
    total = account.api.request("GET", "/usage", days=7).json
    today = datetime.now(UTC).date()
    assert total == {
        "total_invocations": 3,
        "total_input_tokens": 30,
        "total_output_tokens": 60,
        "total_cost_usd": 4.5,
        "period_start": (today - timedelta(days=6)).isoformat(),
        "period_end": today.isoformat(),
    }
    daily = account.api.request("GET", "/usage/daily", days=7).json
    assert [day["invocation_count"] for day in daily] == [1, 0, 0, 0, 0, 0, 2]
    assert set(daily[0]) == {"date", "invocation_count", "input_tokens", "output_tokens", "cost_usd"}


def test_a_user_without_usage_gets_zeros_for_thirty_days(api: Gateway) -> None:
    assert api.request("GET", "/usage").json["total_invocations"] == 0
    assert len(api.request("GET", "/usage/daily").json) == 30


@pytest.mark.parametrize("days", [0, 366, "all"])
def test_a_bad_number_of_days_is_named(api: Gateway, days: object) -> None:
    reply = api.request("GET", "/usage", days=days)
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["query", "days"]


def test_versions_are_listed_newest_first_and_say_which_is_active(account: Account) -> None:
    agent = account.api.request("POST", "/agents", {"name": "Poet"}).json
    made = [
        Version(
            agent_id=agent["id"],
            version_id=new_id("ver"),
            user_id=account.user_id,
            slug="poet",
            number=number,
            status="ready",
            bundle_key="bundles/x",
            source_hash="0" * 64,
            manifest={"name": "Poet", "deep": [[[10**50]]]},
            requested_at=datetime.now(UTC),
            deadline_at=datetime.now(UTC),
            created_at=datetime.now(UTC),
        )
        for number in (1, 2)
    ]
    for version in sorted(made, key=lambda each: each.number):
        tables.versions_table().create(version)
    first = min(made, key=lambda each: each.version_id)
    table = tables.agents_table()
    table.update(
        table.get(account.user_id, "poet"),
        {"active_version": ActiveVersion(version_id=first.version_id, number=1, snapshot_id="s")},
    )
    listed = account.api.request("GET", "/agents/poet/versions").json
    assert [each["id"] for each in listed] == sorted((each.version_id for each in made), reverse=True)
    assert [each["active"] for each in listed] == [False, True]
    one = account.api.request("GET", f"/agents/poet/versions/{first.version_id}").json
    assert one == listed[1]
    assert one["manifest"] == {"name": "Poet", "deep": [[[10**50]]]}
    unknown = account.api.request("GET", "/agents/poet/versions/ver_unknown")
    assert (unknown.status, unknown.json) == (404, {"detail": "Version not found"})
