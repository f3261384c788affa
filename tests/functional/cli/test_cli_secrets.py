"""`cast secrets`: a value goes in and never comes out."""

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply

SECRETS = "/agents/hello/secrets"
SECRET = {"key": "TOKEN", "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-03T03:04:05Z"}


def test_set_sends_the_value_and_prints_only_the_name(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", SECRETS, Reply(201, SECRET))
    result = cast("secrets", "set", "hello", "TOKEN", "hunter2")
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert platform.asked[-1].json == {"key": "TOKEN", "value": "hunter2"}


def test_set_reads_the_value_from_stdin_without_the_last_line_end(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", SECRETS, Reply(201, SECRET))
    assert cast("secrets", "set", "hello", "TOKEN", "--value-stdin", stdin="two\nlines\n").exit_code == 0
    assert platform.asked[-1].json == {"key": "TOKEN", "value": "two\nlines"}


def test_set_takes_an_empty_value_when_it_is_given(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", SECRETS, Reply(201, SECRET))
    assert cast("secrets", "set", "hello", "TOKEN", "").exit_code == 0
    assert platform.asked[-1].json == {"key": "TOKEN", "value": ""}


def test_set_does_not_hang_where_nobody_can_type(cast: Cast, platform: FakePlatform) -> None:
    result = cast("secrets", "set", "hello", "TOKEN")
    assert result.exit_code == 2
    assert "--value-stdin" in result.stderr
    assert platform.asked == []


def test_two_values_are_a_mistake(cast: Cast, platform: FakePlatform) -> None:
    assert cast("secrets", "set", "hello", "TOKEN", "a", "--value-stdin", stdin="b").exit_code == 2
    assert platform.asked == []


def test_list_shows_names_and_times(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", SECRETS, Reply(200, [SECRET]))
    assert cast("secrets", "list", "hello").stdout == "TOKEN\t2026-01-03 03:04:05Z\n"


def test_delete_names_the_key_in_the_path(cast: Cast, platform: FakePlatform) -> None:
    platform.on("DELETE", f"{SECRETS}/A%2FB", Reply(204))
    assert cast("secrets", "delete", "hello", "A/B").exit_code == 0
