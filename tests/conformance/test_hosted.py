"""The switch that points the suite at E2B itself, thrown without a key of anybody's: where would it go?"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from e2b import ConnectionConfig

from tests.conformance.server import ROOT, HostedE2B

KEY = "e2b_00000000000000000000000000000000000000aa"
_PRIVATE = ("AWS_", "CASTARI_", "E2B_", "PYTEST_")


@dataclass
class Recorder:
    """An endpoint that refuses everybody, and keeps what it was asked and with which key."""

    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    kept = Recorder()

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept.asked.append((f"{self.command} {self.path}", self.headers.get("X-API-KEY")))
            body = b'{"code": 401, "message": "refused by the recorder"}'
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = do_PUT = do_POST  # noqa: N815 - the names are the standard library's

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kept
        server.shutdown()


def run_suite(*tests: str, **env: str) -> str:
    """Run some tests with the switch thrown; returns what pytest printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", *tests]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
    env = {**kept, "CASTARI_TEST_E2B": "1", **env}
    told = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return told.stdout + told.stderr


def test_only_the_key_binds_a_call_so_that_it_goes_to_e2b(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("E2B_API_URL", "E2B_DOMAIN", "E2B_DEBUG", "E2B_SANDBOX_URL"):
        monkeypatch.delenv(name, raising=False)
    hosted = HostedE2B(KEY)
    config = ConnectionConfig(**hosted.options)  # type: ignore[arg-type]
    assert (hosted.options, config.api_url, config.api_key) == ({"api_key": KEY}, hosted.url, KEY)
    assert hosted.url == "https://api.e2b.app"


def test_a_case_asks_there_with_the_key_and_one_of_the_local_server_s_is_skipped(recorder: Recorder) -> None:
    file = "tests/conformance/test_sandboxes.py"
    cases = ("test_a_sandbox_is_killed_once[sync]", "test_a_new_sandbox_describes_itself[sync]")
    told = run_suite(*(f"{file}::{case}" for case in cases), E2B_API_KEY=KEY, E2B_API_URL=recorder.url)
    assert recorder.asked == [("POST /v2/sandboxes", KEY)]
    assert "refused by the recorder" in told
    assert "a case of the local server alone" in told
    assert "1 failed, 1 skipped" in told


def test_without_a_key_it_says_what_to_do_and_runs_nothing() -> None:
    told = run_suite("tests/conformance/test_sandboxes.py")
    assert "CASTARI_TEST_E2B=1 needs E2B_API_KEY: copy it from your E2B dashboard" in told
    assert "passed" not in told
    assert "failed" not in told
