"""Bundles that cannot become a version: the message names what is wrong, and no sandbox is left."""

import io
import json
import tarfile

import pytest

from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import MANIFEST, PACKAGE, Agents, bundle

pytestmark = [pytest.mark.stack, pytest.mark.root]
ECHO = {"index.js": "process.stdin.pipe(process.stdout)"}


def _manifest(**changes: str) -> dict[str, str]:
    return {"castari.json": json.dumps(MANIFEST | changes)}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"this is no archive", "neither a tar.gz nor a zip"),
        (bundle(ECHO)[:-40], "ends in the middle"),
        (bundle({**ECHO, "castari.json": "{ nope"}), "castari.json"),
        (bundle({**ECHO, **_manifest(entrypoint="src/missing.ts")}), "entrypoint"),
        (bundle({**ECHO, **_manifest(entrypoint="../../etc/passwd")}), "entrypoint"),
        (bundle({**ECHO, "../outside.js": "1"}), "../outside.js"),
        (
            bundle({**ECHO, "package.json": json.dumps(PACKAGE | {"dependencies": {"left-pad": "999.0.0"}})}),
            "npm install failed",
        ),
        (bundle({"index.js": "this is { no javascript"}), "index.js"),
    ],
    ids=[
        "noise",
        "cut",
        "bad-json",
        "no-entrypoint",
        "entrypoint-outside",
        "path-outside",
        "install",
        "syntax",
    ],
)
def test_a_bundle_that_cannot_run_ends_in_an_error_that_names_why(
    stage: Stage, agents: Agents, content: bytes, named: str
) -> None:
    slug = agents.create("bad")
    answer = agents.post_bundle(slug, content)
    if answer.status_code < 300:
        agent = agents.settled(slug)
        assert agent["status"] == "error"
        message = agent["status_message"]
    else:
        assert answer.status_code == 422, answer.text
        message = answer.text
    assert named in message, message
    agent_id = stage.get(f"/agents/{slug}")["id"]
    wait_until(lambda: not stage.sandboxes(agent_id=agent_id), "the build sandbox to be gone", 30)


def test_a_missing_manifest_is_said_in_the_well_known_words(agents: Agents) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("README.md"))
    slug = agents.create("bad")
    answer = agents.post_bundle(slug, buffer.getvalue())
    message = answer.text if answer.status_code >= 300 else agents.settled(slug)["status_message"]
    assert "castari.json not found" in message


def test_a_failed_deploy_leaves_the_active_version_serving(stage: Stage, agents: Agents) -> None:
    slug = agents.deploy_files("steady", ECHO)
    agent = agents.upload(slug, bundle({"index.js": "this is { no javascript"}))
    assert agent["status"] == "active"
    assert "index.js" in agent["status_message"]
    assert stage.invoke(slug, "still here")["response_content"] == "still here"


def test_secrets_named_for_the_build_reach_the_install_and_nothing_else(stage: Stage, agents: Agents) -> None:
    # The install tells how long the token was, and leaves a copy that only the build sandbox may have.
    install = """
        const fs = require("fs"), token = process.env.BUILD_TOKEN || "";
        fs.writeFileSync("installed.txt", String(token.length));
        fs.writeFileSync("/tmp/left-behind", token);
    """
    look = """
        const found = require("child_process").spawnSync(
            "grep", ["-rlsF", ["grape", "tree"].join("-"), "/home", "/tmp", "/opt", "/var", "/files"]);
        const said = require("fs").readFileSync("installed.txt", "utf8");
        const env = process.env.BUILD_TOKEN ?? null;
        console.log(JSON.stringify({said, env, found: String(found.stdout)}));
    """
    slug = agents.create("build-secret")
    secret = {"key": "BUILD_TOKEN", "value": "grape-tree"}
    stage.http.post(f"/agents/{slug}/secrets", json=secret).raise_for_status()
    files = {
        "castari.json": json.dumps({**MANIFEST, "build_secrets": ["BUILD_TOKEN"]}),
        "package.json": json.dumps(PACKAGE | {"scripts": {"postinstall": "node record.js"}}),
        "record.js": install,
        "index.js": look,
    }
    agent = agents.upload(slug, bundle(files))
    assert agent["status"] == "active", agent["status_message"]
    seen = json.loads(stage.invoke(slug, "look")["response_content"])
    assert seen == {"said": str(len("grape-tree")), "env": None, "found": ""}
