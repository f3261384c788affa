"""`cast` and the real handlers of the API over a local AWS: both sides of the contract meet."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from castari.bootstrap import catalogue, stores
from tests.functional.cli.fake_platform import Asked, Reply, serving
from tests.functional.conftest import Account
from tests.gateway import Gateway

Done = subprocess.CompletedProcess[str]
Cast = Callable[..., Done]


@dataclass(frozen=True)
class HandledPlatform:
    """Passes requests to the handlers, as API Gateway would."""

    def answer(self, asked: Asked) -> Reply:
        path, _, query = asked.path.partition("?")
        values = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        key = asked.headers["authorization"].removeprefix("Bearer ")
        content_type = asked.headers.get("content-type", "application/json")
        reply = Gateway(key).send(asked.method, path, asked.body or None, content_type, **values)
        return Reply(reply.status, reply.body.encode(), {"Retry-After": reply.headers.get("retry-after", "")})


@pytest.fixture
def cast(account: Account, environment: dict[str, str]) -> Iterator[Cast]:
    # As a process: the handlers print their logs and metrics on this one's stdout.
    with serving(HandledPlatform()) as url:
        known = environment | {"CASTARI_API_URL": url, "CASTARI_API_KEY": str(account.api.key)}

        def run(*arguments: str, stdin: str = "", key: str | None = None) -> Done:
            changed = known | ({"CASTARI_API_KEY": key} if key else {})
            command = [sys.executable, "-m", "cast", *arguments]
            return subprocess.run(
                command, env=changed, input=stdin, capture_output=True, text=True, check=False
            )

        yield run


def as_json(done: Done) -> object:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_agent_is_created_listed_changed_and_deleted(cast: Cast, account: Account) -> None:
    assert account.email in cast("whoami").stdout
    assert cast("agents", "create", "My Poet", "--description", "rhymes", "--timeout", "60").returncode == 0
    assert cast("agents", "list").stdout.startswith("my-poet\tdraft\tMy Poet\t")
    assert cast("agents", "update", "my-poet", "--max-turns", "7").returncode == 0
    shown = cast("agents", "get", "my-poet").stdout
    assert "max turns:       7\n" in shown
    assert "timeout seconds: 60\n" in shown
    again = cast("agents", "create", "My Poet")
    assert (again.returncode, again.stdout) == (1, "")
    assert cast("agents", "delete", "my-poet", "-f").returncode == 0
    assert "error: Agent not found" in cast("agents", "get", "my-poet").stderr


def test_a_secret_is_set_listed_and_deleted_and_its_value_never_shown(cast: Cast) -> None:
    cast("agents", "create", "Poet")
    assert cast("secrets", "set", "poet", "TOKEN", "--value-stdin", stdin="hunter2\n").returncode == 0
    listed = cast("secrets", "list", "poet")
    assert listed.stdout.startswith("TOKEN\t")
    assert "hunter2" not in cast("secrets", "list", "poet", "--json").stdout
    assert cast("secrets", "delete", "poet", "TOKEN").returncode == 0
    assert cast("secrets", "list", "poet").stdout == ""
    refused = cast("secrets", "set", "poet", "not a name", "x")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: key: ")


def test_a_deploy_stores_the_bundle_and_waits_for_what_becomes_of_it(
    cast: Cast, account: Account, folder: Path
) -> None:
    done = cast("deploy", "--folder", str(folder), "--timeout", "1")
    assert "created hello" in done.stderr
    assert "waiting for the build to begin" in done.stderr
    assert "not active after 1 s" in done.stderr
    assert done.returncode == 1
    agent = catalogue.agents().get(account.user_id, "hello")
    assert agent.status == "deploying"
    assert agent.bundle_key is not None
    assert stores.bundle_bucket().about(agent.bundle_key).size_bytes > 100


def test_a_large_bundle_is_stored_by_presigned_url(cast: Cast, account: Account, folder: Path) -> None:
    (folder / "model.bin").write_bytes(bytes(range(256)) * 1024)
    seed = b"".join(str(number).encode() for number in range(3_000_000))
    (folder / "numbers.txt").write_bytes(seed)
    done = cast("deploy", "--folder", str(folder), "--timeout", "1")
    assert "not active after 1 s" in done.stderr, done.stderr
    keys = list(stores.bundle_bucket().keys(f"bundles/{account.user_id}/hello/"))
    assert len(keys) == 1
    assert stores.bundle_bucket().about(keys[0]).size_bytes > 4 * 1024 * 1024


def test_a_key_is_created_used_and_revoked(cast: Cast) -> None:
    created = as_json(cast("apikey", "create", "--name", "ci", "--json"))
    assert isinstance(created, dict)
    assert cast("whoami", key=created["key"]).returncode == 0
    assert f"\t{created['api_key']['prefix']}\tci\t" in cast("apikey", "list").stdout
    assert cast("apikey", "revoke", created["api_key"]["id"]).returncode == 0
    assert "`cast login`" in cast("whoami", key=created["key"]).stderr


def test_usage_starts_at_nothing(cast: Cast) -> None:
    assert "invocations:   0\n" in cast("usage", "-d", "7").stdout
    days = as_json(cast("usage", "-d", "7", "--daily", "--json"))
    assert isinstance(days, list)
    assert len(days) == 7


def test_an_agent_that_was_never_deployed_cannot_be_invoked_and_says_what_to_do(cast: Cast) -> None:
    cast("agents", "create", "Poet")
    refused = cast("invoke", "poet", "Ada", "--detach")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: Agent not active\n  ")
    assert cast("invocations", "list", "poet").stdout == ""
