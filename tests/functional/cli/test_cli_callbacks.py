"""`cast callbacks` and `--callback-url`: where results go, and the secret that signs them."""

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import agent, invocation

URL = "https://receiver.example/results"
SECRET = "/agents/hello/callback-secret"
MADE = {"secret": "whsec_c2VjcmV0", "created_at": "2026-01-02T03:04:05Z", "previous_valid_until": None}


def test_a_new_secret_alone_is_on_stdout(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", SECRET, Reply(201, MADE))
    result = cast("callbacks", "secret", "hello")
    assert (result.exit_code, result.stdout) == (0, "whsec_c2VjcmV0\n")
    assert "not shown again" in result.stderr


def test_another_secret_says_how_long_the_one_before_it_is_good(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", SECRET, Reply(201, MADE | {"previous_valid_until": "2026-01-03T03:04:05Z"}))
    assert "until 2026-01-03 03:04:05Z" in cast("callbacks", "secret", "hello").stderr


def test_invoke_asks_for_a_callback(cast: Cast, platform: FakePlatform) -> None:
    platform.on("POST", "/agents/hello/invoke", Reply(200, invocation()))
    assert cast("invoke", "hello", "Ada", "--callback-url", URL).exit_code == 0
    assert platform.asked[-1].json == {"prompt": "Ada", "callback_url": URL}


def test_an_agents_own_callback_is_set_and_taken_away(cast: Cast, platform: FakePlatform) -> None:
    for given, sent in ((URL, URL), ("", None)):
        platform.on("PATCH", "/agents/hello", Reply(200, agent(callback_url=sent)))
        assert cast("agents", "update", "hello", "--callback-url", given).exit_code == 0
        assert platform.asked[-1].json == {"callback_url": sent}
