"""`cast login`, `logout`, `whoami`: where the key is kept, and where it never goes."""

import json
import stat
from pathlib import Path

import pytest

from tests.functional.cli.conftest import KEY, Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import ME


@pytest.fixture(autouse=True)
def _known(platform: FakePlatform) -> None:
    platform.on("GET", "/auth/me", Reply(200, ME))


def login(stranger: Cast, platform: FakePlatform) -> None:
    result = stranger("login", "--api-url", platform.url, "--key-stdin", stdin=f"{KEY}\n")
    assert result.exit_code == 0, result.output


def test_login_keeps_the_key_readable_by_its_user_alone(
    stranger: Cast, platform: FakePlatform, home: Path
) -> None:
    login(stranger, platform)
    credentials = home / ".castari/credentials.json"
    assert json.loads(credentials.read_text()) == {"api_url": platform.url, "api_key": KEY}
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / ".castari").stat().st_mode) == 0o700
    assert json.loads((home / ".castari/config.json").read_text()) == {"api_url": platform.url}


def test_login_does_not_print_the_key(stranger: Cast, platform: FakePlatform) -> None:
    result = stranger("login", "--api-url", platform.url, "--key-stdin", stdin=f"{KEY}\n")
    assert KEY not in result.output
    assert "as ada@example.com" in result.stderr


def test_login_without_a_browser_is_the_same(stranger: Cast, platform: FakePlatform) -> None:
    result = stranger("login", "--no-browser", "--api-url", platform.url, "--key-stdin", stdin=f"{KEY}\n")
    assert result.exit_code == 0, result.output
    assert stranger("whoami").exit_code == 0


def test_whoami_uses_the_stored_key(stranger: Cast, platform: FakePlatform) -> None:
    login(stranger, platform)
    assert stranger("whoami").stdout == f"ada@example.com  cast_abcdefgh  {platform.url}\n"
    assert platform.asked[-1].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_that_the_platform_refuses_is_not_kept(
    stranger: Cast, platform: FakePlatform, home: Path
) -> None:
    platform.on("GET", "/auth/me", Reply(401, {"detail": "unknown key"}))
    result = stranger("login", "--api-url", platform.url, "--key-stdin", stdin=KEY)
    assert result.exit_code == 1
    assert not (home / ".castari").exists()


def test_logging_in_again_needs_no_url(stranger: Cast, platform: FakePlatform) -> None:
    login(stranger, platform)
    assert stranger("login", "--key-stdin", stdin="cast_second_key").exit_code == 0
    assert platform.asked[-1].headers["authorization"] == "Bearer cast_second_key"


def test_the_environment_wins_over_the_files(
    stranger: Cast, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(stranger, platform)
    monkeypatch.setenv("CASTARI_API_KEY", "cast_from_environment")
    assert stranger("whoami").exit_code == 0
    assert platform.asked[-1].headers["authorization"] == "Bearer cast_from_environment"


def test_a_stored_key_never_goes_to_another_platform(
    stranger: Cast, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(stranger, platform)
    asked = len(platform.asked)
    monkeypatch.setenv("CASTARI_API_URL", platform.url.replace("127.0.0.1", "localhost"))
    result = stranger("whoami")
    assert result.exit_code == 1
    assert f"the stored key belongs to {platform.url}" in result.stderr
    assert len(platform.asked) == asked


def test_logout_forgets_the_key(stranger: Cast, platform: FakePlatform) -> None:
    login(stranger, platform)
    assert "logged out" in stranger("logout").stderr
    result = stranger("whoami")
    assert result.exit_code == 1
    assert "not logged in" in result.stderr
    assert "there was no stored key" in stranger("logout").stderr


def test_without_any_configuration_every_command_says_how_to_get_one(stranger: Cast) -> None:
    result = stranger("agents", "list")
    assert result.exit_code == 1
    assert "no platform is configured" in result.stderr
    assert "cast login --api-url URL" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["login", "--key-stdin"], KEY, "which platform?"),
        (["login", "--api-url", "http://127.0.0.1:1"], None, "no terminal to ask on"),
        (["login", "--api-url", "http://127.0.0.1:1", "--key-stdin"], "\n", "stdin holds no API key"),
    ],
)
def test_a_login_that_lacks_something_says_what(
    stranger: Cast, arguments: list[str], stdin: str | None, message: str
) -> None:
    result = stranger(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_url_that_is_none_is_refused(stranger: Cast) -> None:
    result = stranger("login", "--api-url", "castari.example", "--key-stdin", stdin=KEY)
    assert result.exit_code == 1
    assert "`castari.example` is not a URL" in result.stderr


def test_a_broken_credentials_file_is_named(stranger: Cast, home: Path) -> None:
    (home / ".castari").mkdir()
    (home / ".castari/config.json").write_text("{")
    result = stranger("whoami")
    assert result.exit_code == 1
    assert "config.json cannot be read" in result.stderr
