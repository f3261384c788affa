"""The terminal view of a server's sandboxes, run as a person and as a program would."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from e2b import Sandbox

from local.sandboxes.top import make_table
from local.sandboxes.usage import Row
from tests.conformance.conftest import ON_E2B, Sdk
from tests.conformance.server import ROOT, RunningServer

pytestmark = pytest.mark.skipif(ON_E2B, reason="it is the local server's")


def _top(
    server: RunningServer, *arguments: str, key: str | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "local.sandboxes.top", *arguments],
        cwd=ROOT,
        env=os.environ | {"E2B_API_URL": server.url, "E2B_API_KEY": key or server.api_key},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def sdk(sandbox_server: RunningServer) -> Sdk:
    """One flavour is enough: the view makes no sandboxes."""
    return Sdk(Sandbox, sandbox_server)


async def test_top_shows_each_sandbox_with_its_owner_age_memory_and_cpu(
    sdk: Sdk, sandbox_server: RunningServer
) -> None:
    metadata = {"user_id": "user_7", "agent_id": "agent_9", "kind": "run"}
    made = [await sdk.create(metadata=metadata, timeout=600), await sdk.create()]
    try:
        await sdk(made[1].pause)
        told = _top(sandbox_server)
        rows: list[dict[str, Any]] = json.loads(_top(sandbox_server, "--json").stdout)
    finally:
        for each in made:
            await sdk(each.kill)
    line = next(line for line in told.stdout.splitlines() if made[0].sandbox_id in line)
    columns = r"running +\d+s +\d+m\d\ds +\d+\.\d MiB +\d+\.\d % +run +user_7/agent_9 +base"
    assert re.search(columns, line), line
    assert re.search(r"\d+ running, \d+ paused, \d+\.\d MiB", told.stdout)
    row = next(row for row in rows if row["sandbox_id"] == made[0].sandbox_id)
    assert (row["state"], row["owner"], row["kind"]) == ("running", "user_7/agent_9", "run")
    assert 590 < row["left_seconds"] <= 600
    assert 0 < row["memory_bytes"] < row["memory_limit_bytes"] == 2 * 1024**3
    assert next(row for row in rows if row["sandbox_id"] == made[1].sandbox_id)["state"] == "paused"


def test_top_says_what_to_do_where_no_server_answers(sandbox_server: RunningServer) -> None:
    for arguments, message in ((("--url", "http://127.0.0.1:9"), "make up"), ((), "X-API-KEY")):
        told = _top(sandbox_server, "--once", *arguments, key="e2b_wrong")
        assert told.returncode == 1
        assert message in told.stderr
        assert "Traceback" not in told.stderr


def test_ages_are_as_short_as_they_can_be() -> None:
    row = Row("i1", "running", "base", "", "", 7, 3725, None, 0, None)
    cells = [next(iter(column.cells)) for column in make_table([row]).columns]
    assert cells == ["i1", "running", "7s", "1h02m", "?", "?", "", "-", "base"]
