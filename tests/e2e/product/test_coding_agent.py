"""The coding agent on the real Anthropic SDK, with a stand-in of the Messages API in the same sandbox."""

import json
import shutil
from pathlib import Path

import pytest

from local.demo.stage import EXAMPLES, Stage
from tests.e2e.product.agents import Agents

pytestmark = [pytest.mark.stack, pytest.mark.root]


def test_the_coding_agent_writes_a_file_runs_a_command_and_reports_its_tokens(
    stage: Stage, agents: Agents, tmp_path: Path
) -> None:
    folder = tmp_path / "coding-agent"
    shutil.copytree(EXAMPLES / "coding-agent", folder, ignore=shutil.ignore_patterns("node_modules"))
    manifest = json.loads((folder / "castari.json").read_text())
    (folder / "castari.json").write_text(json.dumps(manifest | {"entrypoint": "test/in-sandbox.mjs"}))
    slug = agents.create("coding-agent")
    secrets = {"ANTHROPIC_API_KEY": "stand-in", "ANTHROPIC_BASE_URL": "http://127.0.0.1:8787"}
    for key, value in secrets.items():
        stage.http.post(f"/agents/{slug}/secrets", json={"key": key, "value": value}).raise_for_status()
    stage.cast_ok("deploy", slug, folder=folder)
    body = stage.invoke(slug, "shout hello")
    assert body["status"] == "completed", body
    assert body["response_content"].strip() == "HELLO"
