"""Two users with ten to one demand on a real stack whose plan allows few sandboxes (make fair)."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key

from bench.stack import Stack
from local import first_keys, identity
from local.demo.stage import Stage, wait_until
from local.places import REPOSITORY, Places
from tests.e2e.product.agents import Agents
from tests.e2e.product.settings import changed

pytestmark = [
    pytest.mark.stack,
    pytest.mark.root,
    pytest.mark.timeout(500),
    pytest.mark.skipif("FAIR_RUNS" not in os.environ, reason="takes a minute or more: `make fair`"),
]
RUNS = int(os.environ.get("FAIR_RUNS", "0"))
"""Of the quiet user; the busy one wants ten times as many."""
AT_ONCE = 4
ECHO = {
    "index.js": "let s = ''; process.stdin.on('data', (c) => (s += c));"
    " process.stdin.on('end', () => setTimeout(() => console.log(s), 500));"
}


@pytest.fixture
def users(stage: Stage) -> Iterator[list[Stage]]:
    """Two users of their own, with keys."""
    places = Places(Path(os.environ.get("CASTARI_LOCAL", REPOSITORY / ".local")))
    stack = identity.load(places.identity)
    assert stack, "no stack is running: run `make up` first"
    with ExitStack() as opened:
        made = []
        for name in ("busy", "quiet"):
            key = first_keys.make_api_key(stack, f"{name}-{secrets.token_hex(4)}@localhost")
            made.append(Stage(stage.environment | {"CASTARI_API_KEY": key}))
            opened.callback(made[-1].http.close)
        yield made


def test_users_with_ten_to_one_demand_get_equal_shares_of_a_real_stack_while_both_wait(
    stage: Stage, users: list[Stage], tell: Callable[[str], None]
) -> None:
    stack = Stack(stage.environment, stage.http)
    agents = [Agents(user) for user in users]
    try:
        wait_until(lambda: not _waiting(stack), "whoever waited before to be gone", 120)
        slugs = [each.deploy_files("echo", ECHO) for each in agents]
        for user, slug in zip(users, slugs, strict=True):
            user.http.patch(f"/agents/{slug}", json={"warm": 0}).raise_for_status()
        with changed(stack, {"SANDBOXES_AT_ONCE": str(AT_ONCE)}):
            shares = _shares(stack, users, slugs)
    finally:
        for each in agents:
            each.delete_all()
    index = sum(shares) ** 2 / (2 * sum(share**2 for share in shares))
    tell(f"busy {shares[0]}, quiet {shares[1]} runs while both waited: Jain {index:.3f}")
    assert index >= 0.95


def _shares(stack: Stack, users: list[Stage], slugs: list[str]) -> list[int]:
    """Return how many runs of each user completed from when both waited until one had none waiting."""
    for user, slug, count in zip(users, slugs, (10 * RUNS, RUNS), strict=True):
        body = {"prompts": [f"{slug} {number}" for number in range(count)]}
        user.http.post(f"/agents/{slug}/invocations/batch", json=body).raise_for_status()
    wait_until(lambda: len(_waiting(stack)) == 2, "both users to wait in line", 90)
    began = datetime.now(UTC)
    wait_until(lambda: len(_waiting(stack)) < 2, "one of them to wait no more", 400)
    ended = datetime.now(UTC)
    ends = [_ends(user, slug) for user, slug in zip(users, slugs, strict=True)]
    return [sum(began <= each < ended for each in of_user) for of_user in ends]


def _waiting(stack: Stack) -> set[str]:
    """Return which users wait in line."""
    rows = stack.table("CAPACITY").query(
        KeyConditionExpression=Key("kind").eq("waiting"), ConsistentRead=True
    )
    return {str(row["user_id"]) for row in rows["Items"]}


def _ends(user: Stage, slug: str) -> list[datetime]:
    """Return when each completed invocation of an agent ended."""
    found: list[dict[str, Any]] = []
    while page := user.get(f"/agents/{slug}/invocations?status=completed&limit=100&offset={len(found)}"):
        found += page
    return [datetime.fromisoformat(each["finished_at"]) for each in found]
