"""`cast` as its user runs it, against a platform on loopback, with a home folder of its own."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cast.main import app
from tests.functional.cli.fake_platform import FakePlatform, serving

KEY = "cast_abcdefgh_0123456789"
Cast = Callable[..., Result]


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    platform = FakePlatform()
    with serving(platform) as platform.url:
        yield platform


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a login, and an environment that names no platform."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("CASTARI_API_URL", raising=False)
    monkeypatch.delenv("CASTARI_API_KEY", raising=False)
    return folder


@pytest.fixture
def stranger(home: Path) -> Cast:  # noqa: ARG001
    """Run `cast` without a login."""

    def run(*args: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, args, input=stdin)

    return run


@pytest.fixture
def cast(stranger: Cast, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Run `cast` with the fake platform and a key in the environment."""
    monkeypatch.setenv("CASTARI_API_URL", platform.url)
    monkeypatch.setenv("CASTARI_API_KEY", KEY)
    return stranger


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The environment of a `cast` that runs as a process."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": paths, "TERM": "xterm-256color"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an agent that can be deployed."""
    agent = tmp_path / "agent"
    (agent / "src").mkdir(parents=True)
    (agent / "castari.json").write_text('{"name": "Hello", "version": "1.0.0", "entrypoint": "src/index.ts"}')
    (agent / "package.json").write_text("{}")
    (agent / "src/index.ts").write_text("console.log('hello')\n")
    return agent
