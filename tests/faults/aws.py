"""An AWS that throttles and fails: microburst in front of the stack's own; signatures are still checked."""

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from bench.counting_proxy import CountingProxy, served

_THROTTLES = {
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "s3": ("SlowDown", 503),
    "sqs": ("RequestThrottled", 403),
    "secretsmanager": ("ThrottlingException", 400),
}
_FAILURES = {
    "dynamodb": ("InternalServerError", 500),
    "s3": ("InternalError", 500),
    "sqs": ("InternalError", 500),
    "secretsmanager": ("InternalServiceError", 500),
}
_START_SECONDS = 15


@dataclass
class SignedHost(CountingProxy):
    """The hop behind microburst: gives requests the Host back that their signatures cover."""

    host: str = ""

    def headers(self, request: web.Request) -> list[tuple[str, str]]:
        kept = [(name, value) for name, value in super().headers(request) if name.lower() != "host"]
        return [*kept, ("Host", self.host)]


@dataclass
class FaultyAws:
    """Where clients find it, and what it did to them."""

    url: str
    fired: Counter[str] = field(default_factory=Counter)

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        """Replace what goes wrong."""
        httpx.post(f"{self.url}/_microburst/rules", json=rules).raise_for_status()

    def count(self) -> dict[str, int]:
        """Return how often each thing went wrong, by service and error."""
        metrics = httpx.get(f"{self.url}/_microburst/metrics").text.splitlines()
        faults = [line for line in metrics if line.startswith("microburst_faults_total{")]
        counts: Counter[str] = Counter()
        for line in faults:
            labels, _, number = line.removeprefix("microburst_faults_total{").partition("} ")
            service = labels.split('service="')[1].split('"')[0]
            counts[service] += int(float(number))
        return dict(counts)


def rules(share: float) -> list[dict[str, Any]]:
    """Return rules by which this share of calls is throttled, this share fails, and some answers get lost."""
    errors = [
        {"service": service, "probability": share, "error": {"code": code, "status": status}}
        for kind in (_THROTTLES, _FAILURES)
        for service, (code, status) in kind.items()
    ]
    # Carried out, but not answered: whether a write was done cannot be told from outside.
    unanswered = {"service": "dynamodb", "probability": share / 10, "response": {"abort_bytes": 1}}
    return [*errors, unanswered]


@contextmanager
def faulty_aws(upstream: str, log: Path) -> Iterator[FaultyAws]:
    """Serve it in front of `upstream`, with nothing wrong at first."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with served(SignedHost(upstream, host=f"127.0.0.1:{port}")) as hop, log.open("wb") as output:
        command = [sys.executable, "-m", "microburst", "--upstream", hop.url, "--port", str(port)]
        process = subprocess.Popen([*command, "--no-resign"], stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(url, process, log)
            yield FaultyAws(url)
        finally:
            process.terminate()
            process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends_at = time.monotonic() + _START_SECONDS
    while True:
        try:
            httpx.get(f"{url}/_microburst/health").raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends_at, log.read_text()
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
