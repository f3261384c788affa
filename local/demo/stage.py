"""What the demo works with: `cast`, the HTTP API, S3 and the sandbox server of the running stack."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
from e2b import Sandbox, SandboxQuery

from local.places import REPOSITORY

_POLL_SECONDS = 0.1
EXAMPLES = REPOSITORY / "examples"


class StepFailed(Exception):
    """A step did not show what it should; the message says what came instead."""


@dataclass(frozen=True)
class Stage:
    """The running stack, as its environment file describes it."""

    environment: dict[str, str]

    @cached_property
    def http(self) -> httpx.Client:
        """A client of the API with the stack's first key."""
        return httpx.Client(
            base_url=f"{self.environment['CASTARI_API_URL'].rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {self.environment['CASTARI_API_KEY']}"},
            timeout=60,
        )

    def cast(self, *arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        """Run `cast` as a user would, and keep what it prints."""
        return subprocess.run(
            [sys.executable, "-m", "cast", *arguments],
            cwd=folder,
            env=self.environment | {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY / "cli")},
            capture_output=True,
            text=True,
            check=False,
        )

    def cast_ok(self, *arguments: str, folder: Path = REPOSITORY) -> str:
        """Run `cast`, and return its stdout. Raises `StepFailed` with its stderr where it fails."""
        done = self.cast(*arguments, folder=folder)
        expect(
            done.returncode == 0, f"`cast {arguments[0]}` ended with {done.returncode}: {done.stderr.strip()}"
        )
        return done.stdout.strip()

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what the API answers to a GET."""
        return self.http.get(path).raise_for_status().json()

    def invoke(self, slug: str, prompt: str) -> dict[str, Any]:
        """Invoke over HTTP and wait for the end; a failed invocation is an answer too."""
        answer = self.http.post(f"/agents/{slug}/invoke", json={"prompt": prompt})
        body: dict[str, Any] = answer.json()
        expect("invocation_id" in body, f"invoke answered {answer.status_code}: {json.dumps(body)[:300]}")
        return self.wait_for(slug, body["invocation_id"])

    def wait_for(self, slug: str, invocation_id: str, seconds: float = 90) -> dict[str, Any]:
        """Poll an invocation until it has ended."""

        def ended() -> dict[str, Any] | None:
            body: dict[str, Any] = self.get(f"/agents/{slug}/invocations/{invocation_id}")
            return None if body["status"] in {"queued", "running"} else body

        body: dict[str, Any] = wait_until(ended, f"invocation {invocation_id} to end", seconds)
        return body

    def put_bundle(self, key: str, content: bytes) -> None:
        """Put an object into the bundle bucket as any S3 client would."""
        boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        ).put_object(Bucket=self.environment["CASTARI_BUNDLE_BUCKET"], Key=key, Body=content)

    def sandboxes(self, **metadata: str) -> list[str]:
        """Return the ids of all sandboxes that exist now and carry the metadata."""
        pages = Sandbox.list(
            query=SandboxQuery(metadata=metadata),
            api_key=self.environment["E2B_API_KEY"],
            api_url=self.environment["E2B_API_URL"],
        )
        found: list[str] = []
        while pages.has_next:
            found += [each.sandbox_id for each in pages.next_items()]
        return found


def expect(condition: bool, otherwise: str) -> None:
    """Raise `StepFailed` with a sentence unless the condition holds."""
    if not condition:
        raise StepFailed(otherwise)


def wait_until(probe: Any, what: str, seconds: float) -> Any:  # noqa: ANN401 - whatever the probe returns
    """Return the probe's first true answer. Raises `StepFailed` when the time is over."""
    until = time.monotonic() + seconds
    while not (answer := probe()):
        expect(time.monotonic() < until, f"waited {seconds:g} s for {what}")
        time.sleep(_POLL_SECONDS)
    return answer
