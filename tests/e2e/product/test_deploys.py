"""Deploys as users and CI systems see them: by `aws s3 cp`, several at once, and with a log that grows."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.demo.stage import Stage, wait_until
from tests.archives import well_formed
from tests.e2e.product.agents import DEPLOY_SECONDS, PACKAGE, Agents, bundle

pytestmark = [pytest.mark.stack, pytest.mark.root]
AWS = Path(sys.executable).with_name("aws")
MULTIPART_BYTES = 9 * 1024**2
"""The AWS CLI stores what has 8 MB or more in several parts, of which S3 tells by another event."""
SAMPLE, SAMPLE_SEED, AT_ONCE = 50, 20_261_122, 3


@pytest.mark.parametrize("size_bytes", [100, MULTIPART_BYTES], ids=["whole", "in parts"])
def test_a_bundle_put_by_aws_s3_cp_is_deployed(
    stage: Stage, agents: Agents, tmp_path: Path, size_bytes: int
) -> None:
    slug = agents.create("cp")
    noise = random.Random(size_bytes).randbytes(size_bytes // 2).hex()  # noqa: S311 - it only has to be large
    content = bundle({"index.js": "console.log('copied')", "noise.txt": noise}, level=0)
    (tmp_path / "bundle.tar.gz").write_bytes(content)
    user_id = stage.get("/auth/me")["id"]
    bucket = stage.environment["CASTARI_BUNDLE_BUCKET"]
    target = f"s3://{bucket}/bundles/{user_id}/{slug}/from-ci.tar.gz"
    done = subprocess.run(
        [AWS, "s3", "cp", "--no-progress", "bundle.tar.gz", target],
        cwd=tmp_path,
        env=stage.environment | {"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    agent = agents.settled(slug)
    assert agent["status"] == "active", agent["status_message"]
    assert stage.invoke(slug, "x")["response_content"] == "copied\n"


def test_of_four_deploys_at_once_the_last_one_serves_and_what_it_overtook_is_superseded(
    stage: Stage, agents: Agents, tell: Callable[[str], None]
) -> None:
    slug = agents.create("race")
    for number, seconds in enumerate((12, 2, 1, 0)):
        package = PACKAGE | {"scripts": {"postinstall": f"sleep {seconds}"}}
        program = "console.log(require('./word.js'), require('fs').readFileSync('word.txt', 'utf8'))"
        word = {"word.js": f"module.exports = {number}", "word.txt": str(number)}
        files = {"package.json": json.dumps(package), "index.js": program, **word}
        agents.post_bundle(slug, bundle(files)).raise_for_status()

    def ended() -> list[dict[str, Any]] | None:
        versions: list[dict[str, Any]] = stage.get(f"/agents/{slug}/versions")
        over = len(versions) == 4 and all(each["status"] != "building" for each in versions)
        return versions if over else None

    newest, *earlier = wait_until(ended, "four deploys to end", 2 * DEPLOY_SECONDS)
    assert newest["status"] == "ready"
    # What was ready before the last one began to serve did serve until then: how many, the machine decides.
    said = {"ready": "active as version", "superseded": "superseded: "}
    for version in earlier:
        assert _last_words(stage, slug, version).startswith(said[version["status"]])
    agent = stage.get(f"/agents/{slug}")
    assert (agent["status"], agent["active_version"]) == ("active", newest["number"])
    assert stage.invoke(slug, "x")["response_content"] == "3 3\n"
    tell(f"of 3 earlier deploys {sum(each['status'] == 'superseded' for each in earlier)} were superseded")


def _last_words(stage: Stage, slug: str, version: dict[str, Any]) -> str:
    """Return the end of a version's log: a note of what became of it."""
    log = stage.get(f"/agents/{slug}/versions/{version['id']}/log?limit=200")
    return str(log["entries"][-1]["text"])


def test_a_builds_log_grows_while_it_runs_and_is_read_on_from_an_offset(stage: Stage, agents: Agents) -> None:
    slug = agents.create("log")
    script = "for n in 1 2 3 4 5 6; do echo line $n; sleep 0.5; done"
    package = PACKAGE | {"scripts": {"postinstall": script}}
    files = {"package.json": json.dumps(package), "index.js": "console.log(1)"}
    agents.post_bundle(slug, bundle(files)).raise_for_status()
    version = wait_until(lambda: stage.get(f"/agents/{slug}/versions"), "the version", 30)[0]["id"]

    read: list[tuple[str, list[dict[str, Any]]]] = []
    offset, deadline = 0, time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        part = stage.get(f"/agents/{slug}/versions/{version}/log?offset={offset}")
        read.append((part["status"], part["entries"]))
        offset = part["next_offset"]
        if part["status"] != "building" and not part["entries"]:
            break
        time.sleep(0.2)

    entries = [entry for _, part in read for entry in part]
    assert [entry["offset"] for entry in entries] == list(range(len(entries)))
    printed = "".join(entry["text"] for entry in entries if entry["kind"] == "output")
    assert [line for line in printed.splitlines() if line.startswith("line ")] == [
        f"line {number}" for number in range(1, 7)
    ]
    meanwhile = [part for status, part in read if status == "building" and _has_output(part)]
    assert len(meanwhile) >= 2


def _has_output(entries: list[dict[str, Any]]) -> bool:
    return any(entry["kind"] == "output" for entry in entries)


@pytest.mark.timeout(400)
def test_a_sample_of_the_well_formed_archives_is_deployed_and_answers(
    stage: Stage, agents: Agents, tell: Callable[[str], None]
) -> None:
    rng = random.Random(SAMPLE_SEED)  # noqa: S311 - the same bundles each time
    cases = {f"sample {number}": well_formed.case(rng, f"sample {number}") for number in range(SAMPLE)}
    shares = [list(cases)[begin::AT_ONCE] for begin in range(AT_ONCE)]

    def deployed(answers: list[str]) -> list[str]:
        """Deploy a share of them, one after the other, as versions of one agent; return what is wrong."""
        slug, wrong = agents.create("sample"), []
        for answer in answers:
            agent = agents.upload(slug, cases[answer].content)
            said = stage.invoke(slug, "x")["response_content"] if agent["status"] == "active" else None
            if said != f"{answer}\n" or agent["status_message"]:
                wrong.append(f"{cases[answer].kind}: {said} {agent['status_message']}")
        return wrong

    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [each for share in pool.map(deployed, shares) for each in share]
    assert not wrong
    tell(f"{len(cases)} archives of {len({case.kind for case in cases.values()})} kinds")
