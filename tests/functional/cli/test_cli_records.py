"""`cast apikey`, `usage` and `invocations`: what is on record."""

import json

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import failed, invocation

KEY = {
    "id": "key_1", "name": "ci", "prefix": "cast_abcdefgh", "created_at": "2026-01-02T03:04:05Z",
    "last_used_at": None,
}  # fmt: skip


def test_a_new_key_is_the_only_thing_on_stdout(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", "/api-keys", Reply(201, {"api_key": KEY, "key": "cast_abcdefgh_secret"}))
    result = cast("apikey", "create", "--name", "ci")
    assert result.stdout == "cast_abcdefgh_secret\n"
    assert "not shown again" in result.stderr
    assert platform.asked[-1].json == {"name": "ci"}


def test_keys_are_listed_by_id_and_prefix(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/api-keys", Reply(200, [KEY]))
    assert cast("apikey", "list").stdout == "key_1\tcast_abcdefgh\tci\t2026-01-02 03:04:05Z\t-\n"


def test_a_key_is_revoked_by_its_id(cast: Cast, platform: FakePlatform) -> None:
    platform.on("DELETE", "/api-keys/key_1", Reply(204))
    assert "revoked key_1" in cast("apikey", "revoke", "key_1").stderr


def test_usage_sums_up_a_period(cast: Cast, platform: FakePlatform) -> None:
    total = {
        "total_invocations": 7, "total_input_tokens": 10, "total_output_tokens": 20, "total_cost_usd": 0.5,
        "period_start": "2026-01-01", "period_end": "2026-01-07",
    }  # fmt: skip
    platform.on("GET", "/usage", Reply(200, total))
    lines = cast("usage", "-d", "7").stdout.splitlines()
    assert lines[0] == "2026-01-01 to 2026-01-07"
    assert "invocations:   7" in lines
    assert "cost:          $0.5000" in lines
    assert len(platform.requests("GET", "/usage?days=7")) == 1


def test_usage_goes_day_by_day(cast: Cast, platform: FakePlatform) -> None:
    day = {
        "date": "2026-01-01",
        "invocation_count": 3,
        "input_tokens": 1,
        "output_tokens": 2,
        "cost_usd": 0.25,
    }
    platform.on("GET", "/usage/daily", Reply(200, [day]))
    assert cast("usage", "--daily").stdout == "2026-01-01\t3\t1\t2\t$0.2500\n"
    assert json.loads(cast("usage", "--daily", "--json").stdout) == [day]


def test_invocations_are_listed_with_their_failures(cast: Cast, platform: FakePlatform) -> None:
    lost = failed("sandbox_lost", "gone", status="lost", invocation_id="inv_2", duration_ms=None)
    platform.on("GET", "/agents/hello/invocations", Reply(200, [invocation(), lost]))
    assert cast("invocations", "list", "hello").stdout == (
        "inv_1\tcompleted\t12 ms\t2026-01-02 03:04:05Z\t-\n"
        "inv_2\tlost\t-\t2026-01-02 03:04:05Z\tsandbox_lost\n"
    )


def test_one_invocation_is_printed_as_invoke_would(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents/hello/invocations/inv_1", Reply(200, invocation()))
    assert cast("invocations", "get", "hello", "inv_1").stdout == "Hello, Ada!\n"


def test_an_invocation_that_still_runs_says_so(cast: Cast, platform: FakePlatform) -> None:
    running = invocation(status="running", response_content=None)
    platform.on("GET", "/agents/hello/invocations/inv_1", Reply(200, running))
    result = cast("invocations", "get", "hello", "inv_1")
    assert result.exit_code == 1
    assert "inv_1 is still running" in result.stderr
