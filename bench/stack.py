"""The running local stack as the benches see it: its API as a user, its AWS and E2B as its operator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import httpx
from e2b import E2B

from local import environment

if TYPE_CHECKING:
    from types_boto3_dynamodb.service_resource import DynamoDBServiceResource, Table

_T = TypeVar("_T")
ENV_FILE = Path(__file__).parent.parent / ".local" / "env"


class StackMissing(Exception):
    """There is no running stack to measure: run `make up` first."""


@dataclass(frozen=True)
class Stack:
    """One local stack, reached by what its env file says."""

    env: dict[str, str]
    http: httpx.Client

    @cached_property
    def session(self) -> boto3.Session:
        """Return an AWS session with the stack's own keys."""
        return boto3.Session(
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            region_name=self.env.get("AWS_REGION") or self.env["AWS_DEFAULT_REGION"],
        )

    @cached_property
    def functions(self) -> Any:  # noqa: ANN401 - two packages type this client, and differ
        """Return the Lambda client."""
        return self.session.client("lambda", endpoint_url=self.env["AWS_ENDPOINT_URL"])

    @cached_property
    def logs(self) -> Any:  # noqa: ANN401 - not typed here
        """Return the CloudWatch Logs client."""
        return self.session.client("logs", endpoint_url=self.env["AWS_ENDPOINT_URL"])

    @cached_property
    def e2b(self) -> E2B:
        """Return an E2B client bound to the stack's sandbox server."""
        return E2B(
            api_key=self.env["E2B_API_KEY"],
            api_url=self.env["E2B_API_URL"],
            sandbox_url=self.env["E2B_SANDBOX_URL"],
        )

    def function(self, noun: str) -> dict[str, Any]:
        """Return the configuration of the function with the logical name, such as `Invoke`."""
        pages = self.functions.get_paginator("list_functions").paginate()
        found = [f for page in pages for f in page["Functions"] if f"-{noun}Function" in f["FunctionName"]]
        if not found:
            raise StackMissing(f"the stack has no {noun} function: run `make up` again")
        return dict(found[0])

    @cached_property
    def names(self) -> dict[str, str]:
        """Return the names of tables, queues and buckets, by environment variable of the functions."""
        variables: dict[str, str] = self.function("Invoke")["Environment"]["Variables"]
        return variables

    def table(self, noun: str) -> "Table":
        """Return a table by its noun, such as `WARM`."""
        tables: DynamoDBServiceResource = self.session.resource(
            "dynamodb", endpoint_url=self.env["AWS_ENDPOINT_URL"]
        )
        return tables.Table(self.names[f"{noun}_TABLE"])

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Send one request as the stack's user and return the answer. Raises on 4xx and 5xx."""
        return self.http.request(method, f"/api/v1{path}", **options).raise_for_status()


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Open the running stack. Raises `StackMissing` when there is none."""
    if not ENV_FILE.exists():
        raise StackMissing("no stack is running: run `make up` first")
    env = environment.read(ENV_FILE)
    headers = {"Authorization": f"Bearer {env['CASTARI_API_KEY']}"}
    with httpx.Client(base_url=env["CASTARI_API_URL"], headers=headers, timeout=60, trust_env=False) as http:
        try:
            http.get("/api/v1/health").raise_for_status()
        except httpx.HTTPError as error:
            raise StackMissing(f"the stack does not answer ({error}): run `make up` again") from error
        yield Stack(env, http)


def until(what: str, seconds: float, probe: Callable[[], _T | None], pause: float = 0.01) -> _T:
    """Call `probe` until it returns something true, and return that. Raises `TimeoutError` naming `what`."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if found := probe():
            return found
        sleep(pause)
    raise TimeoutError(f"{what} did not happen within {seconds:g} s")
