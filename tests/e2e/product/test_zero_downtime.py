"""Ten requests a second while another version is deployed and rolled back: none is lost, none gets a mix."""

from collections import Counter
from collections.abc import Callable

import pytest

from local.demo.stage import Stage, wait_until
from tests.e2e.product.agents import DEPLOY_SECONDS, Agents, bundle
from tests.e2e.product.load import Answer, Load

pytestmark = [pytest.mark.stack, pytest.mark.root]
ENOUGH = 20
"""Answers of one version before the next switch."""
# The answer is put together from what the build bundled and from what is read at run time.
PROGRAM = """
    const { readFileSync } = require("node:fs");
    const { word } = require("./word.js");
    process.stdin.resume().on("end", () => process.stdout.write(word + readFileSync("word.txt", "utf8")));
"""
OLD, NEW = "oldold", "newnew"


def _files(word: str) -> dict[str, str]:
    return {"index.js": PROGRAM, "word.js": f"exports.word = '{word}'", "word.txt": word}


@pytest.mark.timeout(500)
def test_under_load_a_redeploy_and_a_rollback_lose_no_request_and_mix_nothing(
    stage: Stage, agents: Agents, tell: Callable[[str], None]
) -> None:
    slug = agents.deploy_files("steady", _files("old"))
    with Load(stage, slug).running() as load:
        _wait_for_answers(load, OLD, since=0)
        assert agents.upload(slug, bundle(_files("new")))["status"] == "active"
        redeployed = load.sent
        _wait_for_answers(load, NEW, since=redeployed)
        rollback = load.sent
        stage.http.post(f"/agents/{slug}/rollback", json={"version": 1}).raise_for_status()
        rolled_back = load.sent
        _wait_for_answers(load, OLD, since=rolled_back)

    answers = load.answers
    tell(f"{len(answers)} requests, {load.rate:.1f} a second: {_counted(answers)}")
    assert len(answers) == load.sent
    assert {each.outcome for each in answers} <= {"200 completed", "202 completed"}
    assert {each.content for each in answers} == {OLD, NEW}
    # Whoever asks once a switch is done gets what it switched to.
    assert {each.content for each in answers if each.number >= rolled_back} == {OLD}
    # Whoever was answered before the next began, too: what waits in the queue meets the version of its turn.
    between = [each for each in answers if redeployed <= each.number and each.answered_at_number <= rollback]
    assert {each.content for each in between} == {NEW}


def _wait_for_answers(load: Load, content: str, *, since: int) -> None:
    def enough() -> bool:
        load.raise_what_broke()
        return sum(each.content == content and each.number >= since for each in load.answers) >= ENOUGH

    wait_until(enough, f"{ENOUGH} answers {content!r}", DEPLOY_SECONDS)


def _counted(answers: list[Answer]) -> str:
    counts = Counter(f"{each.outcome} {each.content}" for each in answers)
    return ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
